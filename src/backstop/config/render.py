"""A resolved venue as TOML again: reading it back gives the same venue and the same hash."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["venue_toml"]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # A JSON string of ASCII is a TOML basic string then.
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"


def _lines(table: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in table.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{key} = [", *(f"    {_value(row)}," for row in value), "]"]
        elif not isinstance(value, dict):
            lines.append(f"{key} = {_value(value)}")
    return lines


def venue_toml(resolved: dict[str, Any]) -> str:
    """Return ``Venue.resolved`` as the text of a venue file."""
    blocks = []
    for name, section in resolved.items():
        for table in section if isinstance(section, list) else [section]:
            blocks.append("\n".join([f"[[{name}]]" if isinstance(section, list) else f"[{name}]", *_lines(table)]))
            blocks += ["\n".join([f"[{name}.{key}]", *_lines(inner)]) for key, inner in table.items() if isinstance(inner, dict)]
    return "\n\n".join(blocks) + "\n"
