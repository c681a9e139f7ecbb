"""What ``Engine`` raises; a refused event is no error, but an effect."""

from __future__ import annotations

__all__ = ["EngineError", "StoppedError", "UnknownAccountError"]


class EngineError(ValueError):
    """What was asked for makes no sense; the message names the field, its value and what would be
    right. The engine is as it was.
    """


class UnknownAccountError(EngineError):
    """No account has this id."""


class StoppedError(RuntimeError):
    """The engine has stopped within an event and takes nothing more: open its journal again."""
