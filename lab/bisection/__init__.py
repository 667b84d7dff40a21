"""Where an answer changes: along every value of an axis, by halving, and between two cells. Asks a session."""
