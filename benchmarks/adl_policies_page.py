"""docs/reference/adl-policies.md, from the figures of ``benchmarks.adl_policies``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from benchmarks.prose import wrapped

__all__ = ["page"]

_HEAD = """\
# ADL policies compared

`python -m benchmarks.adl_policies` writes this page from `benchmarks/adl_policies.json`; do not edit
it. The crash of 2025-10-10 is run once for each policy of `adl`, with the same population, impact
off. The bundled path ([scenarios.md](scenarios.md)) is run on the venue file as it is shipped, where
the fund leaves little to ADL. Then it and the recorded bars ([recorded-crashes.md](recorded-crashes.md))
are run *bare*: without fund and providers, with 10,000 accounts in place of 50,000, so that ADL is
asked for all that the book does not take. Nothing else differs.

```console
$ BACKSTOP_DATA=/path/to/recorded python -m benchmarks.adl_policies
```
"""

_READING = """\
## How to read them

- **owners asked**: owners who gave lots to ADL, each once; *a plan*: the mean over markets and events.
- **largest share**: of the notional that all gave, what one owner gave at most.
- **defaults within an hour**: owners asked who then came into default, at most an hour after they were
  asked last. They would have been in default without it, or were stripped of what hedged them.
- **hedges torn**: owners whose positions in all markets together, signed and at mark, were larger after
  they gave than before; and by how much, in notional, over all events. Loadings are as shipped: all
  markets alike. It is what `water_filling` looks at and no other policy does.

Defaults in all differ a little from policy to policy: who is closed by ADL does not come into default.

The positions that the venue of that day published have neither equity nor size
([adl-2025-10-10.md](adl-2025-10-10.md)), so that leverage, defaults and hedges cannot be read from
them: here equities and hedges are those of the population.
"""


_TITLES = (
    ("bundled", "The bundled crash, as shipped"),
    ("bundled, bare", "The bundled crash, bare"),
    ("recorded, bare", "The recorded bars, bare"),
)


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for kind, title in _TITLES:
        of_kind = [row for row in rows if row["kind"] == kind]
        if of_kind:
            parts.append(f"## {title}\n\n{_table(of_kind)}\n")
    return wrapped("\n".join([*parts, _READING]))


def _table(rows: list[dict[str, Any]]) -> str:
    head = ("policy", "owners asked", "a plan", "fills", "largest share", "defaults within an hour", "hedges torn", "by", "defaults in all")
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in rows:
        cells = (
            f"`{row['policy']}`",
            f"{row['owners']:,}",
            f"{row['owners_a_plan']:,.1f}",
            f"{row['fills']:,}",
            f"{row['largest_share']:.2%}".replace("%", " %"),
            f"{row['defaulted']:,}",
            f"{row['torn']:,}",
            f"{Decimal(row['torn_notional'].replace(',', '')):,.0f}",
            f"{row['defaults']:,}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
