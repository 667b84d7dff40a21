"""The append-only store of runs."""
