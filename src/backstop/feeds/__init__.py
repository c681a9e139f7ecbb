"""Doors in: each turns foreign data into events, once. What does not fit is refused by name or counted."""
