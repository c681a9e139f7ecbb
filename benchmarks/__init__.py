"""Ratios measured in one run, both sides on the same data (``make bench``)."""
