"""Tests of the reference, with cases worked by hand, and what they share."""
