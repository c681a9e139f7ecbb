"""TOML as text to plain values, and one kind of error for every problem in it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from decimal import InvalidOperation
from pathlib import Path
from typing import Any

from backstop.files import read_bounded

__all__ = ["TomlError", "parse_toml", "read_utf8"]

#: Whole numbers of TOML have 64 bits; Python's have no end, and may have more digits than it
#: prints.
_WHOLE_MAX = 1 << 63
#: A file of settings is longer than this by mistake, or has no end, as a device.
_BYTES_MAX = 16 << 20


class TomlError(ValueError):
    """A text that is not TOML; the message says why, without naming the file."""


def read_utf8(path: str | Path, noun: str = "file") -> str:
    """Return a file's text with its line ends as ``\\n``; raise ``TomlError`` where it is not
    UTF-8, and ``OSError``.

    ``noun`` is what messages call it: "venue file".
    """
    try:
        content = read_bounded(Path(path), _BYTES_MAX)
        if content is None:
            raise TomlError(f"must have at most {_BYTES_MAX >> 20} MiB")
        return content.decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        raise FileNotFoundError(f"{noun} `{path}` does not exist") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{noun} `{path}` is a folder") from None
    except UnicodeDecodeError as error:
        raise TomlError(f"must be UTF-8 text: byte {error.start} is not") from None


def parse_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the tables of a TOML text; raise ``TomlError``."""
    try:
        table = tomllib.loads(text, parse_float=parse_float)
    except InvalidOperation:
        raise TomlError("not TOML: a number has an exponent beyond any use") from None
    except RecursionError:
        raise TomlError("not TOML of any use: tables or lists lie too deep in each other") from None
    except ValueError as error:  # tomllib's own, and a whole number of too many digits
        raise TomlError(f"not TOML: {error}") from None
    _check_whole_numbers(table)
    return table


def _check_whole_numbers(table: dict[str, Any]) -> None:
    waiting: list[tuple[str, Any]] = list(table.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{key}[{number}]", inner) for number, inner in enumerate(value)]
        elif isinstance(value, int) and not -_WHOLE_MAX <= value < _WHOLE_MAX:
            raise TomlError(f"{key}: a whole number beyond 64 bits")
