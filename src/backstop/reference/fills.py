"""The door: what a fill costs its loser beyond the band, or makes lacking, its winner owes first
(R6.2.13).
"""

from __future__ import annotations

from backstop.core.events import Cause, EffectKind
from backstop.core.instruments import PPM
from backstop.reference.records import Event
from backstop.reference.state import State

__all__ = ["fill_debt_due", "note_fill_debt", "take_from_winners"]


def note_fill_debt(state: State, event: Event) -> None:
    """Note what the winner of a fill owes a loser that is not linked with it, once both have traded."""
    loser, winner, owed = fill_debt_due(state, event)
    if owed > 0:
        state.add_fill_debt(loser, state.accounts[winner].owner, owed)
        state.emit(
            EffectKind.FILL_DEBT,
            market=event.market,
            account=loser,
            other=winner,
            price_ticks=event.price_ticks,
            amount=owed,
            value=state.markets[event.market].mark,
        )


def fill_debt_due(state: State, event: Event) -> tuple[int, int, int]:
    """Return loser and winner of a fill, and what is owed for it: what it cost beyond what it may,
    or what of it the loser now lacks, if that is more.
    """
    account, other = event.account, event.other
    if other < 0 or state.are_linked(account, other):
        return account, other, 0
    contract = state.contract(event.market)
    gain = contract.cash_of(event.lots, event.price_ticks) - contract.cash_of(event.lots, contract.mark_ticks)
    loser, winner = (account, other) if gain < 0 else (other, account)
    lacking = min(abs(gain), -state.equity(loser))
    allowed = _allowed(state, loser, event)
    return loser, winner, max(0, lacking, 0 if allowed is None else abs(gain) - allowed)


def _allowed(state: State, loser: int, event: Event) -> int | None:
    """What a fill may cost its loser: the band of the market, in a default the tolerance; None: no
    limit.
    """
    rules = state.rules.markets[event.market]
    limits = [rules.fill_band_ppm] if rules.fill_band_ppm else []
    limits += [rules.slippage_tolerance_ppm] if state.accounts[loser].in_default else []
    return state.contract(event.market).notional_of(event.lots) * min(limits) // PPM if limits else None


def take_from_winners(state: State, account: int) -> None:
    """Let those who owe an account for fills make good its deficit, and without lots what funds paid
    for it: at most what they owe, and down to their maintenance margin.
    """
    deficit = -state.equity(account)
    if not state.held_markets(account):
        deficit += sum(state.debts(account).values())
    for debt in state.fill_debts_to(account) if deficit > 0 else []:
        for number in reversed(state.accounts_of(debt.owner)):
            standing = state.standing(number)
            give = min(deficit, debt.amount, standing.equity - standing.maintenance)
            if give > 0 and number != account and not state.accounts[number].in_default:
                state.lower_fill_debt(debt, give)
                deficit -= give
                state.post(account, number, give, Cause.FILL_DEBT)
                state.touch(number)
