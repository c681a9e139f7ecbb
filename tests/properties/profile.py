"""How hard property tests try: the same examples on every run, or ``BACKSTOP_EXAMPLES=5000`` new
ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["settings_of"]

_WANTED = os.environ.get("BACKSTOP_EXAMPLES")


def settings_of(examples: int, steps: int = 50) -> settings:
    """Return the settings of a test that tries ``examples`` in an ordinary run."""
    return settings(
        max_examples=int(_WANTED) if _WANTED else examples,
        stateful_step_count=steps,
        derandomize=_WANTED is None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
