"""backstop: the default-management engine of a crypto-derivatives venue.

``from backstop import Venue, replay`` is the Python face (``backstop.face``), ``Engine`` the engine
beside a venue (``backstop.engine``). Their names are imported when they are asked for, so that
``import backstop`` and ``backstop --help`` stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstop.engine import Engine
    from backstop.face import Run, Venue, replay

__version__ = "0.1.0"

__all__ = ["Engine", "Run", "Venue", "__version__", "replay"]

#: Name, and the room that has it.
_FACE = {"Engine": "backstop.engine", "Run": "backstop.face", "Venue": "backstop.face", "replay": "backstop.face"}


def __getattr__(name: str) -> Any:
    """Import a name of the Python face, or the engine."""
    if name in _FACE:
        from importlib import import_module

        value = getattr(import_module(_FACE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE})
