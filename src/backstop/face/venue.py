"""A venue file as an object that can be loaded by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from backstop import config

__all__ = ["Venue"]


class Venue(config.Venue):
    """A venue file, read, proved and resolved; with the ways to get one."""

    __slots__ = ()

    @classmethod
    def load(cls, path: str | Path) -> Venue:
        """Read a venue file (TOML).

        Raises ``ConfigError``, a ``ValueError`` with every problem found, or ``OSError``.
        """
        return cls._of(config.load_venue(path))

    @classmethod
    def parse(cls, text: str) -> Venue:
        """Read the text of a venue file.

        Raises ``ConfigError``, a ``ValueError`` with every problem found.
        """
        return cls._of(config.parse_venue(text))

    @classmethod
    def bundled(cls) -> Venue:
        """Return the venue of ``backstop demo``."""
        return cls._of(config.parse_venue(config.default_text(), "bundled venue"))

    @classmethod
    def _of(cls, venue: config.Venue) -> Venue:
        return cls(**{field.name: getattr(venue, field.name) for field in fields(venue)})
