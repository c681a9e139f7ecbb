"""The rules by worked cases: engine, reference and every invariant at each event."""
