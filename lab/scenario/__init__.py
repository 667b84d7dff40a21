"""Scenario files: load, expand into cells, select among them, resolve a cell's settings. Pure but for reading files."""
