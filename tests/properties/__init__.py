"""Attacks on the invariants: full scans in plain Python after every event of the real engine."""
