"""``backstop account``: look at one account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli.exits import FAILED
from backstop.cli.running import refusals, say, tell, tell_json, warm_up, wrong_usage
from backstop.printing import shown_name

if TYPE_CHECKING:
    from backstop.runs.history import Past

__all__ = ["app"]

app = typer.Typer(name="account", help="Look at one account.", no_args_is_help=True)


@app.callback()
def account() -> None:
    """Look at one account."""


@app.command()
def rank(
    name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name or number of the account.", show_default=False)],
    journal: Annotated[Path, typer.Option(metavar="FILE", help="The journal of the run.", show_default=False)],
    at: Annotated[int | None, typer.Option(min=0, metavar="SEQ", help="After this event; by default at the end.")] = None,
    market: Annotated[str | None, typer.Option(metavar="SYMBOL", help="This market only; by default all markets with lots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the place of an account in the ADL queue of each market: rank 1 gives first.

    The journal is replayed to the given event. Lights are those that venues show: five are on for
    the fifth of the lots that gives first.

    Exits with 0 if all is well, 1 if the journal cannot be read or does not know the account, 2 on
    wrong usage, 4 if the journal is damaged or the file is not a journal.
    """
    warm_up()
    with refusals():
        from backstop.runs.history import state_at

        past = state_at(journal, at)
    if at is not None and past.seq < at and not len(past.next_event):
        raise _failed(f"{journal}: has no event of seq {at}: it ends with seq {past.seq}")
    number = past.account_id(name)
    if number is None:
        raise _failed(f"{journal}: no account is called {shown_name(name)} at seq {past.seq}")
    ranks = _ranks(past, number, market)
    if as_json:
        tell_json(_as_object(past, number, ranks))
        return
    _print(past, number, ranks)


def _failed(message: str) -> typer.Exit:
    say(f"error: {message}")
    return typer.Exit(FAILED)


def _ranks(past: Past, account: int, symbol: str | None) -> list[dict[str, Any]]:
    """Return an object for each market in which the account has lots, or for the one asked for."""
    from backstop.core.events import Health
    from backstop.core.position_rows import position_of
    from backstop.runs.ranking import rank_market

    try:
        numbers = range(len(past.venue.markets)) if symbol is None else [past.venue.market(symbol)]
    except KeyError as error:
        raise wrong_usage(str(error.args[0]), "--market") from None
    health = Health(int(past.state.accounts[account].health))
    found: list[dict[str, Any]] = []
    for market in numbers:
        position = int(position_of(past.state, account, market))
        lots = 0 if position < 0 else int(past.state.positions[position].lots)
        if lots == 0 and symbol is None:
            continue
        spec = past.venue.markets[market]
        place = None
        if lots and health < Health.DISTRESSED:
            longs, shorts = rank_market(past.state, market)
            place = (longs if lots > 0 else shorts).of(account)
        mark = spec.price_text(int(past.state.markets[market].mark_ticks))
        entry = {"market": spec.symbol, "mark_price": mark, "quantity": spec.quantity_text(lots), "health": health.name.lower()}
        found.append(entry | {"rank": None if place is None else place.as_json()})
    return found


def _policy(past: Past) -> str:
    from backstop.core.events import AdlPolicy

    return AdlPolicy(past.rules.adl_policy).name.lower()


def _as_object(past: Past, account: int, ranks: list[dict[str, Any]]) -> dict[str, Any]:
    from backstop.feeds.columns import time_text

    head = {"account": past.account_name(account), "id": account, "seq": past.seq, "time": time_text(past.time_ns)}
    return {**head, "adl_policy": _policy(past), "markets": ranks}


def _print(past: Past, account: int, ranks: list[dict[str, Any]]) -> None:
    from backstop.feeds.columns import time_text
    from backstop.runs.ranking import LIGHTS

    tell(f"account   {shown_name(past.account_name(account))}, at seq {past.seq}, {time_text(past.time_ns)}")
    if not ranks:
        tell("rank      none: it has no lots")
    for entry in ranks:
        place = entry["rank"]
        tell(f"market    {shown_name(entry['market'])}, mark {entry['mark_price']}")
        if place is None:
            why = "it has no lots" if entry["quantity"] == "0" else f"it is {entry['health']}, and ADL takes only accounts that are not"
            tell(f"rank      none: {why}")
            continue
        before = 100 * place["lots_before"] / place["lots_total"]
        tell(f"rank      {place['rank']:,} of {place['ranked']:,} on the {place['side']} side, after {before:.2f} % of its lots")
        tell(f"lights    {'●' * place['lights']}{'○' * (LIGHTS - place['lights'])}")
        tell(f"score     {place['score_ppm'] / 1e6:.6f}, class {place['adl_class']}, quantity {entry['quantity']}")
    policy = _policy(past)
    if policy != "queue":
        tell(f"note      this venue then deleverages by {policy}: the rank is the order under queue")
