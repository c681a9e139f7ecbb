"""The oracle: the rules of ``docs/rules.md`` once more, slow and obvious, in plain Python integers."""
