"""Engines: one small module each, under one protocol."""
