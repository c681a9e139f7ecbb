"""Carry as facts: what a fund stands for while a solvent account keeps its position, and why it does
not.
"""

from __future__ import annotations

from backstop.core.kinds import CarryEffect, ReserveEffect
from backstop.explain.fact import Fact, percent
from backstop.explain.funds import available_text
from backstop.explain.scene import Scene, Stop
from backstop.journal.rendering import time_text
from backstop.reference.carry import carry_end_ns, carry_need, carry_parts
from backstop.reference.funds import supports_closing

__all__ = ["add_carry", "add_carry_reserve", "carry_stop", "carry_text"]


def _need_text(scene: Scene) -> str:
    """Say what an account would lack after the move."""
    words, found, move_ppm = scene.speaker, scene.portfolio, scene.rules.closeout.carry_move_ppm
    need = words.cash(carry_need(found, move_ppm))
    return f"after a move of {percent(move_ppm)} against all its positions it would lack {need}: equity is {words.cash(found.equity)}"


def add_carry(scene: Scene, fact: Fact) -> None:
    """Say what it means that an account is carried, and check need and end."""
    told, rules = CarryEffect(scene.row), scene.rules.closeout
    fact.because.append("solvent: it is not deleveraged while its funds stand for what a move would cost, and its slices go on")
    fact.because.append(_need_text(scene))
    fact.check("what it would lack", told.need, carry_need(scene.portfolio, rules.carry_move_ppm))
    fact.check("end", told.until_ns, carry_end_ns(scene.now_ns, scene.deadline_ns, rules))


def add_carry_reserve(scene: Scene, fact: Fact) -> None:
    """Say why what is reserved to carry an account changed, and check its part."""
    told, words = ReserveEffect(scene.row), scene.speaker
    fund, change = words.fund(scene.rules.markets[told.market].group), words.cash(abs(told.change))
    whom, where = words.holder(told.account), words.market(told.market)
    does = f"reserves {change} to carry" if told.change > 0 else f"frees {change} of what it reserved to carry"
    fact.says = f"the {fund} {does} {whom} in {where}; it then reserves {words.cash(told.reserved)} for all accounts"
    if told.account != scene.account:
        return
    part = carry_parts(scene.portfolio, scene.rules.closeout.carry_move_ppm).get(told.market, 0)
    after = scene.mine.carried.get(told.market, 0) + told.change
    if told.change > 0:
        fact.because.append(_need_text(scene))
        fact.check("its part there", after, part)
    else:
        fact.because.append("less is needed, it is not carried any more, or it gives way to an insolvent account")
        fact.check("not below zero", after >= 0, True)


def carry_text(scene: Scene) -> str | None:
    """Say until when an account that waits may be carried, and what stands for it; None: it was not
    carried.
    """
    mine, words = scene.mine, scene.speaker
    if mine.carry_until_ns == 0:
        return None
    reserved = words.cash(sum(mine.carried.values()))
    return f"it may be carried until {time_text(mine.carry_until_ns)}, with {reserved} reserved for it, before ADL is asked"


def carry_stop(scene: Scene) -> Stop:
    """Return why the account is not carried, as things stand at the effect looked at."""
    rules, words = scene.rules.closeout, scene.speaker
    if rules.carry_max_ns == 0:
        return Stop("carry", "off", "this venue carries nobody")
    if not supports_closing(scene.rules.stages):
        return Stop("carry", "no_fund", "no fund stands before ADL, to stand for it")
    if scene.portfolio.equity < 0:
        return Stop("carry", "insolvent", "carries nobody who is insolvent")
    until_ns = scene.mine.carry_until_ns or carry_end_ns(scene.now_ns, scene.deadline_ns, rules)
    if scene.now_ns >= until_ns:
        return Stop("carry", "time_over", f"its time was over at {time_text(until_ns)}", values={"until_ns": until_ns})
    short = scene.books.carry_short(scene.account)
    if short is None:
        return Stop("carry", "open", "its funds could stand for it", lots=1)
    group = scene.rules.markets[short.market].group
    why = available_text(scene, group, short.fund, short.market)
    says = f"{_need_text(scene)}; of that {words.cash(short.part)} in {words.market(short.market)}: {why}"
    return Stop("carry", "fund", says, values={"needed_atoms": short.part, "available_atoms": short.fund.available})
