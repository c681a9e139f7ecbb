"""Rules that only one venue has: formulas that turn its parameters into this engine's."""
