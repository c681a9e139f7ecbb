"""Where breakers and guard must trip, they do, and save what would have been closed."""

from __future__ import annotations

from benchmarks.breakers import costs_more, scenes


def test_a_bad_print_and_a_dead_feed_close_nobody() -> None:
    """Without guard and breakers all sixteen longs are closed in both scenes, and the fund pays."""
    found = {(each.crash, each.variant): each for each in scenes()}
    for name in ("bad print", "dead feed"):
        off, bundled = found[name, "off"].outcome, found[name, "bundled"].outcome
        assert (off.liquidations, bundled.liquidations) == (16, 0)
        assert off.fund_paid > bundled.fund_paid == 0
    assert found["bad print", "bundled"].held == 2
    assert found["dead feed", "bundled"].outcome.halts == 1
    assert costs_more(list(found.values())) == []
    wrong = [each._replace(variant="bundled" if each.variant == "off" else "off") for each in found.values()]
    assert [words.split(":")[0] for words in costs_more(wrong)] == ["bad print", "dead feed"]
