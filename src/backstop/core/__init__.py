"""The engine: pure, integer and flat. It reads no clock, file, network or random number."""
