"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# No test may fail because a machine is slow, or because a kernel is compiled within it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
