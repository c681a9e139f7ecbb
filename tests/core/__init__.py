"""The engine's parts, each by itself: units, admission, entries, closeout, ADL and its certificate,
digest, cache.
"""
