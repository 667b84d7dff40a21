"""permlab: a reproducible test lab for container permissions."""
