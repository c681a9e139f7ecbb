"""pyarrow, or what to install where it is missing."""

from __future__ import annotations

from typing import Any

__all__ = ["arrow_module"]


def arrow_module() -> Any:
    """Return pyarrow; raise ``ImportError`` that says how to install it."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError("tables need pyarrow: pip install 'backstop-liquidator[data]'") from None
    return pyarrow
