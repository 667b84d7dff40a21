"""Observation → Verdict: pure rules, which can be run again over old observations."""
