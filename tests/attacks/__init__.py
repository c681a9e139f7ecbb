"""Attacks on the engine: each plays an adversary, on both sides of the market, with every invariant
watched.
"""
