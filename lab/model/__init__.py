"""Data types of the lab: frozen dataclasses and enumerations, no I/O, no third-party import."""
