"""The page as a whole: one file that needs nothing else, and lets nothing in."""

from __future__ import annotations

from importlib.resources import files

from backstop.config.stages import CLOSING, STAGES, key_of
from backstop.report import losses, market_figures, providers, record, rules, summary
from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, join, tag
from backstop.report.place import page_start

__all__ = ["PAGE_BYTES_MAX", "page"]

#: Largest page that is written.
PAGE_BYTES_MAX = 8_000_000

#: A browser that obeys it loads nothing from anywhere, and runs no script.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_CONTENTS = (
    ("day", "Run"),
    ("waterfall", "Who paid"),
    ("fund", "Fund"),
    ("providers", "Providers"),
    ("adl", "ADL"),
    ("defaulters", "Defaulters"),
    ("markets", "Markets"),
    ("halts", "Halts"),
    ("rules", "Rules"),
    ("refused", "Refused"),
    ("conservation", "Conservation"),
    ("repeat", "Repeat"),
)


def stage_style() -> str:
    """Return the colours of the stages as CSS: a variable and the rules of each."""
    light = " ".join(f"--{key_of(stage)}: {words.colour};" for stage, words in STAGES.items())
    dark = " ".join(f"--{key_of(stage)}: {words.colour_on_dark};" for stage, words in STAGES.items())
    lines = [f":root {{ {light} }}", f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"]
    for name in map(key_of, STAGES):
        chosen = f".{name}" if name in CLOSING else f".fill.{name}"
        lines.append(f"{chosen} {{ fill: var(--{name}); background-color: var(--{name}); }}")
    lines += [f".line.fillmark.{name} {{ stroke: var(--{name}); }}" for name in CLOSING]
    return "\n".join(lines) + "\n"


def page(gathering: Gathering, facts: RunFacts) -> Html:
    """Return the report as HTML.

    A section is a function of the gathering; a new one needs its line here and in the contents.
    Raises ``ValueError`` where the page would be larger than ``PAGE_BYTES_MAX``, which a venue's
    figures cannot reach.
    """
    style = files("backstop.report").joinpath("report.css").read_text(encoding="utf-8") + stage_style()
    absent = {name for name, shown in (("providers", gathering.providers), ("rules", gathering.rule_changes.all)) if not shown}
    body = join(
        summary.head(gathering, facts),
        tag("nav", [tag("a", text, href=f"#{name}") for name, text in _CONTENTS if name not in absent]),
        summary.day(gathering),
        losses.waterfall(gathering),
        losses.fund(gathering),
        providers.providers(gathering, facts),
        losses.adl(gathering, facts),
        losses.defaulters(gathering, facts),
        market_figures.markets(gathering),
        market_figures.halts(gathering),
        rules.rules(gathering),
        record.refusals(gathering, facts),
        record.conservation(gathering, facts),
        record.repeat(gathering, facts),
    )
    head = join(
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", f"{facts.title} \N{EN DASH} default report"),
        tag("style", Html(style)),
    )
    text = join(page_start(), head, Html("</head>"), tag("body", tag("main", body)), Html("</html>\n"))
    size = len(text.encode())
    if size > PAGE_BYTES_MAX:
        raise ValueError(f"the report has {size:,} bytes: must be at most {PAGE_BYTES_MAX:,}")
    return text
