"""Reports: views of a stored run. Everything here is pure: a run in, text out."""
