"""Tests of the simulated venue: the book, the driver, paths, scenarios and populations."""
