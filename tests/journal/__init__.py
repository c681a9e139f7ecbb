"""Journals: written, cut, flipped, swapped and killed; each must be whole, or say where it is
not.
"""
