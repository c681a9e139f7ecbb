"""Seeded random streams of events that look for the corners of the rules."""
