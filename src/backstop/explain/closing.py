"""In words what the reference says of closing on the book: slices, caps, zero cash, visible
depth.
"""

from __future__ import annotations

from backstop.explain.fact import percent
from backstop.explain.scene import Scene
from backstop.reference.book import Book, Slice
from backstop.reference.closing import Closing, SizeBound
from backstop.reference.margin import Borne, Holding, Portfolio

__all__ = ["BINDING", "caps_text", "depth_text", "room_text", "zero_text"]

BINDING = {
    SizeBound.FUND: "what the fund could reserve for it",
    SizeBound.RESTORED: "the least that restores the account",
    SizeBound.POSITION: "nothing: it is the whole position",
    SizeBound.SLICE: "what is left of one slice",
    SizeBound.MINIMUM: "the least order, as less is left of one slice",
    SizeBound.PROBE: "the least order, which tries a book of which too little is known",
    SizeBound.ACCOUNT_CAP: "the account's cap on notional in the interval",
    SizeBound.MARKET_CAP: "the market's cap on notional in the interval",
    SizeBound.VENUE_CAP: "the venue's cap on notional in the interval",
}


def room_text(scene: Scene, closing: Closing) -> str:
    """Say how much an order may take of the book, with its terms."""
    market, lots, least = closing.holding.market, scene.speaker.lots, closing.least
    if closing.is_probe:
        known = f"only {lots(market, closing.slice.visible)} are visible, not all of the book is told" if closing.slice.visible else ""
        said = f"{known or 'nothing is known of the book'}: an order of {lots(market, closing.minimum)} tries it"
        return said + (f", less {lots(market, closing.slice.pending)} on their way" if closing.slice.pending else "")
    said = _slice_text(scene, market, closing.slice)
    if closing.left > closing.slice.left:
        return f"{said}, and the visible book holds the least order of {lots(market, least)}"
    if 0 < closing.left < least:
        return f"{said}, less than the least order of {lots(market, least)}"
    return said


def _slice_text(scene: Scene, market: int, part: Slice) -> str:
    """Say how much one slice may take, with its terms, and how much of that is on its way."""
    rules, lots = scene.rules.closeout, scene.speaker.lots
    rate, of = (rules.volume_share_ppm, part.volume) if part.is_by_volume else (rules.depth_share_ppm, part.visible)
    said = f"one slice may take {percent(rate)} of {lots(market, of)} {'traded of late' if part.is_by_volume else 'visible'}"
    if part.is_throttled:
        said += f" x {percent(scene.rules.breakers.throttle_share_ppm)} ({scene.breaker(market).state.name.lower()})"
    said += f" = {lots(market, part.whole)}"
    return said + (f", less {lots(market, part.pending)} on their way = {lots(market, part.left)}" if part.pending else "")


def caps_text(scene: Scene, closing: Closing) -> str:
    """Say what is left of the tightest cap on what may be ordered in the interval, with its
    terms.
    """
    cash, seconds = scene.speaker.cash, scene.rules.closeout.cap_interval_ns / 1e9
    _, *bounds = closing.bounds()
    bound, (whose, cap) = min(zip(bounds, closing.caps._asdict().items(), strict=True), key=lambda each: each[0].lots)
    leaves = scene.speaker.lots(closing.holding.market, max(0, bound.lots))
    return f"the {whose}'s cap {cash(cap.most)} each {seconds:g} s less {cash(cap.ordered)} ordered leaves {leaves}"


def zero_text(scene: Scene, portfolio: Portfolio, market: int, lots: int) -> str:
    """Say the zero cash of ``lots`` (> 0) with its terms."""
    words, cash, holding = scene.speaker, scene.speaker.text, portfolio.holding(market)
    zero = portfolio.zero_cash(market, lots)
    quantity, mark = words.lots(market, holding.side * lots), words.price(market, holding.contract.mark_ticks)
    value = f"{cash(zero.at_mark)} ({quantity} at mark {mark})"
    if zero.borne is not None:
        what = "maintenance margin released / of the position" if zero.is_by_margin else "lots / of the position"
        terms = f"{cash(zero.part)} / {cash(zero.whole)}" if zero.is_by_margin else f"{zero.part:,} / {zero.whole:,}"
        share = "" if zero.part == zero.whole else f" x {terms} ({what}), rounded up"
        return f"zero cash {cash(zero.cash)} = {value} and {_borne_text(scene, holding, zero.borne)}{share}"
    what = "maintenance margin released / in all" if zero.is_by_margin else "notional / in all"
    share = "" if zero.part == zero.whole else f" x {cash(zero.part)} / {cash(zero.whole)} ({what}), rounded up"
    return f"zero cash {cash(zero.cash)} = {value} less equity {cash(zero.equity)}{share}"


def _borne_text(scene: Scene, holding: Holding, borne: Borne) -> str:
    """Say what a position of an insolvent account bears of its gap, and by what."""
    cash = scene.speaker.text
    said = f"what it bears of the gap {cash(borne.gap)}: {cash(borne.whole)}"
    if borne.whole == borne.gap:
        return said
    if not borne.whole:
        return f"{said}, since {'it lost nothing' if not holding.loss else 'others lost more'}"
    by_loss = f"{cash(borne.by_loss)} by its loss {cash(holding.loss)} since the epoch began" if borne.by_loss else ""
    rest = f"{cash(borne.rest)} of what no loss bears, by maintenance margin" if borne.rest else ""
    return f"{said} ({', '.join(filter(None, (by_loss, rest)))})"


def depth_text(scene: Scene, market: int, book: Book) -> str:
    """Say the visible depth of a side of the book, band by band, and in all."""
    words = scene.speaker
    parts = [
        f"{'unknown' if band.lots < 0 else words.lots(market, band.lots)}{' more' if number else ''} within {percent(band.offset_ppm)}"
        for number, band in enumerate(book.bands)
    ]
    whole = f": {words.lots(market, book.visible)} in all" if len(book.bands) > 1 else ""
    return ", ".join(parts) + whole
