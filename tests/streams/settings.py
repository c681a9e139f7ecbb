"""What a random stream is about: the venue's rules, how its accounts behave and how its book
answers.

A profile names one corner of the rules and pushes a random setting into it. Rates are whole
multiples of 50,000 ppm and tier floors multiples of 20 atoms, so that every deduction is a whole
number of atoms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations
from random import Random

from backstop.core.contract_terms import ContractKind
from backstop.core.events import AdlPolicy, InitialMargin, SocialisePolicy, Stage
from backstop.core.instruments import (
    NO_CAP,
    PRICE_TICKS_LIMIT,
    AdlRules,
    AssetRules,
    BreakerRules,
    CloseoutRules,
    CommitmentRules,
    DisposalRules,
    FundRules,
    FundsRules,
    LevelRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TakeoverRules,
    TierRules,
    VenueRules,
)
from backstop.core.stages import misplaced, paid_first

__all__ = ["NAMED_PROFILES", "ORDERS", "PROFILES", "Setting", "make_rules", "make_setting"]

SECOND = 1_000_000_000
RATE_STEP_PPM, FLOOR_STEP_ATOMS = 50_000, 20
RESTRICT, CLOSEOUT, FUND, ADL, TEAR_UP = Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP
TAKEOVER, SOCIALISE = Stage.TAKEOVER, Stage.SOCIALISE
USUAL = (RESTRICT, CLOSEOUT, FUND, ADL, TEAR_UP)
WHOLE = (RESTRICT, CLOSEOUT, TAKEOVER, FUND, ADL, SOCIALISE, TEAR_UP)


@dataclass
class Setting:
    """Everything that a stream draws from; the defaults are those of an ordinary venue."""

    rng: Random
    markets: int
    accounts: int
    owners: int
    #: Starting mark, atoms a tick a lot, lots of a typical position.
    price_ticks: int
    factor: int
    lots: int
    #: "plain", "zero" (no maintenance at all), "half_zero" (none in the first tier), "edges" (many
    #: tiers).
    rates: str = "plain"
    #: Deposit of an account as a share of its notional.
    deposit_ppm: tuple[int, int] = (60_000, 400_000)
    #: Fund as a share of a typical notional.
    fund_ppm: int = 300_000
    fund_cap: int = NO_CAP
    owner_cap: int = NO_CAP
    #: Most that a fund pays for one market in a window.
    market_loss_cap: int = NO_CAP
    #: Distance from the mark beyond which a fill is owed back; 0 is off.
    fill_band_ppm: int = 0
    #: How often an account is a pocket, and whether pockets are netted.
    pocket_share: float = 0.0
    pockets_are_netted: bool = False
    #: Share of the initial margin of new lots that goes to the fund.
    contribution_ppm: int = 0
    #: Balance of a fund, as a share of a typical notional, above which claims are paid back.
    target_ppm: int = 1_000_000
    groups: int = 1
    #: Providers, and what the last of them is.
    providers: int = 0
    has_vault: bool = False
    #: Deposit and capacity of a provider, as multiples of a typical notional.
    provider_size: float = 2.0
    #: How often a provider belongs to the owner of a trader.
    provider_is_trader: float = 0.1
    #: Which breakers are on: any of "price", "flow", "drawdown", "stale", "outage", "guard".
    breakers: tuple[str, ...] = ()
    #: Whether waits for doubts, for marks and for halts are short enough to be seen.
    waits: bool = False
    #: Markets, the last ones, that are not listed at first.
    spares: int = 0
    #: Length of an epoch; 0: drawn.
    epoch_ns: int = 0
    #: Whether a market is settled whose doubt lasts.
    settles: bool = False
    adl_policy: int = AdlPolicy.CAPPED_PRO_RATA
    socialise_policy: int = SocialisePolicy.GAINS_HAIRCUT
    stages: tuple[int, ...] = USUAL
    fee_ppm: int = 5_000
    minimum_notional: int = 0
    account_cap: int = NO_CAP
    venue_cap: int = NO_CAP
    market_cap: int = NO_CAP
    interval_ns: int = SECOND
    #: The least length of an epoch, in intervals.
    epoch_intervals: int = 1
    #: For how many intervals a solvent account is carried; None: by other numbers of the setting.
    carry_intervals: int | None = None
    orders_max: int = 64
    positions_max: int = 256
    #: Least notice of the end of relief; 0: that of the rules' default.
    notice_ns: int = 0
    #: Largest ordinary move of a mark, and how often it is a crash instead.
    move_ppm: int = 60_000
    crash_share: float = 0.15
    #: Depth of a band, as a multiple of the typical lots.
    depth_share: float = 1.0
    #: How often all accounts are made alike.
    alike: bool = False
    refusal_share: float = 0.08
    silence_share: float = 0.1
    actions: dict[str, int] = field(
        default_factory=lambda: {
            "mark": 12, "fill": 8, "deposit": 2, "withdraw": 2, "funding": 2, "depth": 6, "volume": 1, "index": 1,
            "clock": 2, "position": 1, "fund": 1, "late_fill": 1, "trading_fee": 1, "operator": 1,
        }
    )  # fmt: skip
    answers: dict[str, int] = field(
        default_factory=lambda: {
            "full": 6, "parts": 4, "half": 3, "none": 2, "silent": 1, "over": 1, "late": 1, "after_done": 1,
            "no_done": 1, "bad_price": 2, "wrong": 1,
        }
    )  # fmt: skip

    #: How providers answer their offers.
    replies: dict[str, int] = field(
        default_factory=lambda: {"accept": 8, "refuse": 2, "silent": 1, "twice": 1, "late": 1, "poor": 1}
    )  # fmt: skip

    #: Every so many markets one that is not inverse; 0: none is inverse, 1: all are.
    inverse: int = 0
    #: A lot of an inverse market is worth this part of what one of a linear market is.
    divisor: int = 1
    #: Assets; markets, groups and providers are of one after the other.
    assets: int = 1

    @property
    def notional(self) -> int:
        """Atoms of a typical position."""
        return max(1, self.lots * self.price_ticks * self.factor // self.divisor)

    def is_inverse(self, market: int) -> bool:
        """Whether a market is inverse."""
        return self.inverse == 1 or (self.inverse > 1 and market % self.inverse != 0)

    def factor_of(self, market: int) -> int:
        """What scales the value of a market's lots: those of an inverse one are worth as much at the
        starting mark, in all but the divisor.
        """
        return max(1, self.price_ticks**2 * self.factor // self.divisor) if self.is_inverse(market) else self.factor


def _equal_ratios(s: Setting) -> None:
    s.alike, s.accounts, s.crash_share = True, s.rng.randint(6, 10), 0.4


def _zero_rates(s: Setting) -> None:
    s.rates, s.crash_share = s.rng.choice(("zero", "half_zero")), 0.4


def _tier_edges(s: Setting) -> None:
    s.rates, s.alike, s.factor = "edges", s.rng.random() < 0.5, FLOOR_STEP_ATOMS


def _one_lot(s: Setting) -> None:
    s.lots = 1


def _crash(s: Setting) -> None:
    s.crash_share, s.accounts, s.deposit_ppm = 0.7, 10, (60_000, 200_000)


def _empty_book(s: Setting) -> None:
    s.depth_share, s.crash_share = 0.0, 0.4


def _no_money(s: Setting) -> None:
    s.fund_ppm, s.crash_share = 0, 0.4


def _tiny_fund(s: Setting) -> None:
    s.fund_ppm, s.crash_share = 20_000, 0.4


def _fund_cap(s: Setting) -> None:
    s.fund_cap, s.fund_ppm, s.crash_share = s.notional // s.rng.choice((10, 40)), 2_000_000, 0.4


def _no_fund(s: Setting) -> None:
    s.stages, s.crash_share = s.rng.choice(((RESTRICT, CLOSEOUT, ADL, TEAR_UP), (ADL, TEAR_UP), (CLOSEOUT, TEAR_UP))), 0.4


def _no_adl(s: Setting) -> None:
    s.stages, s.crash_share = s.rng.choice(((RESTRICT, CLOSEOUT, FUND, TEAR_UP), (FUND, TEAR_UP), (RESTRICT, FUND, TEAR_UP))), 0.4


def _adl_first(s: Setting) -> None:
    s.stages, s.crash_share = s.rng.choice(((RESTRICT, CLOSEOUT, ADL, FUND, TEAR_UP), (CLOSEOUT, RESTRICT, ADL, FUND, TEAR_UP))), 0.4


def _bare(s: Setting) -> None:
    s.stages = s.rng.choice(((TEAR_UP,), (RESTRICT, TEAR_UP), (RESTRICT, FUND, ADL, TEAR_UP)))


def _minimum_notional(s: Setting) -> None:
    s.minimum_notional = s.notional // s.rng.choice((1, 3, 10))


def _interval_caps(s: Setting) -> None:
    name = s.rng.choice(("account_cap", "venue_cap", "market_cap"))
    setattr(s, name, s.notional // s.rng.choice((1, 2, 5)))
    s.minimum_notional = (0, s.notional // 10, s.notional // 3)[s.lots % 3]


def _few_orders(s: Setting) -> None:
    s.orders_max, s.markets, s.accounts, s.move_ppm = s.rng.randint(1, 3), 3, 9, 150_000
    s.actions["late_fill"] = 5


def _linked(s: Setting) -> None:
    s.owners, s.accounts, s.crash_share = s.rng.randint(2, 3), 9, 0.4
    s.stages = s.rng.choice((USUAL, (ADL, TEAR_UP), (FUND, ADL, TEAR_UP)))


def _refusals(s: Setting) -> None:
    s.refusal_share, s.positions_max = 0.45, s.rng.choice((8, 12, 256))


def _bad_venue(s: Setting) -> None:
    s.answers = {"over": 3, "late": 3, "after_done": 3, "no_done": 2, "bad_price": 4, "wrong": 2, "silent": 1, "parts": 2}
    s.actions["late_fill"], s.move_ppm = 6, 120_000


def _silence(s: Setting) -> None:
    s.silence_share = 0.5
    s.answers |= {"silent": 8, "late": 4}


def _halts(s: Setting) -> None:
    s.fund_ppm, s.crash_share, s.stages = 0, 0.6, s.rng.choice(((RESTRICT, CLOSEOUT, TEAR_UP), (FUND, TEAR_UP), USUAL))
    s.actions["fill"] = 20


def _rounding(s: Setting) -> None:
    s.factor, s.price_ticks, s.lots, s.move_ppm, s.fee_ppm = 1, s.rng.randint(2, 60), s.rng.randint(1, 9), 300_000, 20_000


def _huge(s: Setting) -> None:
    # Four times the mark and four times the lots stay within 2^60 a market; few accounts, so that
    # no sum leaves 62 bits.
    s.markets, s.accounts, s.price_ticks, s.lots = 1, s.rng.randint(3, 5), s.rng.randint(10**5, 10**8), s.rng.randint(10, 10**6)
    s.factor = max(1, (1 << 60) // (16 * s.price_ticks * s.lots))


def _profit_and_hedge(s: Setting) -> None:
    s.owners, s.fund_ppm, s.stages, s.crash_share, s.deposit_ppm = 4, 0, (ADL, TEAR_UP), 0.5, (60_000, 900_000)


def _promised(s: Setting) -> None:
    # A fund that is mostly promised to orders nobody answers, while flat accounts owe more than is
    # free.
    s.fund_ppm, s.depth_share, s.crash_share, s.accounts, s.owners = s.rng.choice((100_000, 300_000)), 4.0, 0.3, 9, 9
    s.actions["funding"], s.answers = 14, {"silent": 4, "late": 4, "parts": 2, "bad_price": 2}


def _whole(s: Setting) -> None:
    s.stages, s.providers, s.has_vault, s.crash_share = WHOLE, s.rng.randint(1, 3), s.rng.random() < 0.5, 0.4
    s.breakers = tuple(s.rng.sample(BREAKERS, s.rng.randint(0, 3)))


def _takeover(s: Setting) -> None:
    s.providers, s.depth_share, s.crash_share = s.rng.randint(1, 4), s.rng.choice((0.0, 0.3)), 0.4
    s.provider_size = s.rng.choice((0.3, 1.0, 5.0))
    s.stages = s.rng.choice(
        (WHOLE, (TAKEOVER, CLOSEOUT, FUND, ADL, TEAR_UP), (CLOSEOUT, TAKEOVER, FUND, TEAR_UP), (TAKEOVER, FUND, TEAR_UP))
    )


def _vault(s: Setting) -> None:
    s.providers, s.has_vault, s.depth_share, s.crash_share = s.rng.randint(1, 2), True, s.rng.choice((0.3, 1.0, 4.0)), 0.4
    s.stages, s.silence_share = s.rng.choice((WHOLE, (TAKEOVER, FUND, ADL, TEAR_UP))), 0.3


def _failing_providers(s: Setting) -> None:
    _takeover(s)
    s.replies, s.silence_share = {"refuse": 4, "silent": 3, "poor": 3, "late": 2, "accept": 2, "twice": 1}, 0.3
    s.actions["clock"], s.orders_max = 8, s.rng.choice((3, 64))


def _socialise(s: Setting) -> None:
    s.fund_ppm, s.crash_share, s.target_ppm = s.rng.choice((0, 20_000)), 0.5, s.rng.choice((0, 1_000, 50_000))
    s.socialise_policy = s.rng.choice(list(SocialisePolicy))
    s.stages = s.rng.choice((WHOLE, (FUND, SOCIALISE, TEAR_UP), (SOCIALISE, TEAR_UP), (CLOSEOUT, FUND, ADL, SOCIALISE, TEAR_UP)))
    s.actions["fund"], s.actions["trading_fee"], s.silence_share = 4, 4, 0.2
    if s.rng.random() < 0.5:
        # Winners with little money on each of several accounts, and losers who are flat.
        s.accounts, s.owners, s.deposit_ppm, s.markets = 14, s.rng.randint(5, 7), (30_000, 120_000), 2
        s.fund_ppm, s.stages, s.move_ppm = 0, s.rng.choice(((FUND, SOCIALISE, TEAR_UP), (SOCIALISE, TEAR_UP))), 300_000
        s.actions |= {"withdraw": 6, "sell_out": 8, "funding": 8, "mark": 20, "fill": 16}
        if s.owners == 7:
            # Accounts in default wait for a book that takes a little at a time.
            s.stages, s.depth_share = (CLOSEOUT, *s.stages), 0.3


def _groups(s: Setting) -> None:
    s.groups, s.markets, s.crash_share, s.stages, s.move_ppm = s.rng.randint(2, 3), 3, 0.4, s.rng.choice((USUAL, WHOLE)), 150_000
    s.fund_ppm, s.providers = s.rng.choice((20_000, 100_000)), s.rng.randint(0, 2)
    s.actions |= {"funding": 4, "fund": 3, "sell_out": 4}


def _owner_caps(s: Setting) -> None:
    s.owners, s.accounts, s.crash_share = s.rng.randint(2, 4), 9, 0.5
    s.owner_cap, s.fund_cap = s.notional // s.rng.choice((5, 50)), s.rng.choice((NO_CAP, s.notional // 10))
    s.fund_ppm, s.stages = 2_000_000, s.rng.choice((USUAL, WHOLE, (FUND, TEAR_UP)))


def _arrears(s: Setting) -> None:
    """Rich funds that caps hold back, so that they pay late, and groups with losses of their own."""
    s.groups, s.markets, s.accounts, s.crash_share, s.silence_share = s.rng.randint(1, 3), 3, 9, 0.5, 0.3
    cap = max(1, s.notional // s.rng.choice((5, 20, 100)))
    s.owner_cap, s.fund_cap = s.rng.choice((NO_CAP, cap)), s.rng.choice((NO_CAP, 2 * cap))
    s.market_loss_cap = s.rng.choice((NO_CAP, cap, cap // 2))
    s.fund_ppm, s.target_ppm = s.rng.choice((20_000, 100_000, 2_000_000)), s.rng.choice((0, 20_000, 1_000_000))
    s.stages = s.rng.choice((USUAL, WHOLE, (FUND, TEAR_UP), (CLOSEOUT, FUND, SOCIALISE, TEAR_UP)))
    s.actions |= {"funding": 5, "fund": 4, "clock": 8, "sell_out": 4}


def _breakers(s: Setting) -> None:
    s.breakers, s.crash_share, s.silence_share = BREAKERS, 0.3, 0.3
    s.stages, s.providers = s.rng.choice((USUAL, WHOLE)), s.rng.randint(0, 2)
    s.actions |= {"operator": 5, "index": 5, "volume": 5, "mark": 16, "clock": 5}


def _doubted_marks(s: Setting) -> None:
    """Only the price guard, on little volume, and owners of several accounts who want to leave."""
    s.breakers = ("guard",)
    s.owners = max(2, s.accounts // 2)
    s.move_ppm, s.deposit_ppm = 120_000, (100_000, 600_000)
    s.actions |= {"volume": 6, "withdraw": 12}


def _one_breaker(s: Setting) -> None:
    s.breakers, s.crash_share, s.silence_share = (s.rng.choice(BREAKERS),), 0.3, 0.3
    s.actions |= {"index": 4, "volume": 4, "mark": 16, "clock": 6}


def _policies(s: Setting) -> None:
    s.stages, s.crash_share, s.owners = s.rng.choice(((ADL, TEAR_UP), (FUND, ADL, TEAR_UP), USUAL)), 0.5, s.rng.choice((3, 9))
    s.accounts, s.fund_ppm, s.deposit_ppm = 9, s.rng.choice((0, 100_000)), (60_000, 900_000)


def _support(s: Setting) -> None:
    # A fund that covers a part of the gaps, and is promised to orders and offers that few answer.
    s.markets, s.accounts, s.owners = s.rng.choice((1, 1, 2)), 9, s.rng.choice((3, 9, 9))
    s.fund_ppm, s.depth_share = s.rng.choice((100_000, 300_000, 600_000)), s.rng.choice((0.0, 0.3))
    s.fund_cap, s.owner_cap = (s.rng.choice((NO_CAP, NO_CAP, s.notional // 4)) for _ in range(2))
    s.deposit_ppm, s.crash_share, s.move_ppm = (60_000, 200_000), 0.5, 120_000
    s.stages = s.rng.choice(((CLOSEOUT, FUND, ADL, SOCIALISE, TEAR_UP), (TAKEOVER, FUND, ADL, TEAR_UP), (TAKEOVER, FUND, TEAR_UP)))
    s.providers, s.provider_size = s.rng.randint(1, 2), s.rng.choice((0.3, 0.5, 1.0))
    s.actions |= {"depth": 8, "fund": 8, "position": 3, "charge_beside": 20}
    s.answers, s.replies = {"silent": 6, "late": 3, "parts": 2, "half": 2}, {"silent": 6, "late": 2, "accept": 1}


def _debts(s: Setting) -> None:
    """Insolvent accounts that a rich fund supports, in markets that come back, of owners with twins
    who want to leave.
    """
    s.markets, s.groups, s.accounts, s.owners = s.rng.randint(2, 3), s.rng.randint(1, 2), 9, s.rng.randint(3, 6)
    s.fund_ppm, s.depth_share, s.crash_share, s.move_ppm = 2_000_000, 4.0, 0.4, 150_000
    s.stages, s.deposit_ppm = s.rng.choice((USUAL, (CLOSEOUT, FUND, TEAR_UP), (CLOSEOUT, FUND, SOCIALISE, TEAR_UP))), (60_000, 250_000)
    s.answers = {"full": 4, "parts": 6, "half": 4, "late": 2, "after_done": 2}
    s.actions |= {"mark": 20, "withdraw": 10, "deposit": 5, "late_fill": 4, "funding": 5}
    s.refusal_share = 0.15


def _set_off(s: Setting) -> None:
    """Winners whose gains are cut for want of a fund, and who owe when one has money."""
    s.markets, s.groups, s.accounts, s.owners = 2, s.rng.randint(1, 2), 9, s.rng.choice((5, 9))
    s.fund_ppm, s.depth_share, s.crash_share, s.move_ppm = 1_000, 0.0, 0.6, 200_000
    s.stages, s.deposit_ppm, s.target_ppm = (FUND, SOCIALISE, TEAR_UP), (60_000, 120_000), 50_000_000
    s.socialise_policy = s.rng.choice(list(SocialisePolicy))
    s.actions |= {"mark": 20, "fund": 8, "funding": 16, "deposit": 1, "withdraw": 4}


def _doubts(s: Setting) -> None:
    """Accounts in several markets whose marks are doubted, old or halted while they are in default."""
    s.breakers, s.waits, s.crash_share, s.silence_share = BREAKERS, True, 0.4, 0.2
    s.markets, s.accounts, s.owners = s.rng.choice((1, 2, 3)), 9, s.rng.choice((4, 9))
    s.stages, s.providers = s.rng.choice((USUAL, WHOLE, (TAKEOVER, CLOSEOUT, FUND, TEAR_UP))), s.rng.randint(0, 2)
    s.has_vault, s.depth_share = s.providers > 0 and s.rng.random() < 0.5, s.rng.choice((0.0, 1.0, 4.0))
    s.fund_ppm, s.deposit_ppm, s.move_ppm = s.rng.choice((20_000, 600_000)), (60_000, 250_000), 90_000
    s.actions |= {"operator": 3, "index": 8, "volume": 6, "mark": 24, "clock": 8, "fill": 14}


def _thin_prints(s: Setting) -> None:
    """Prints on little volume about the edges of the guard, while orders and offers of defaulters are
    out; other reasons to doubt join now and then.
    """
    s.breakers = s.rng.choice((("guard",), ("guard", "price"), ("guard", "stale", "outage")))
    s.markets, s.accounts, s.owners, s.crash_share = s.rng.choice((1, 1, 2)), 8, s.rng.choice((4, 8)), 0.1
    s.stages, s.providers = s.rng.choice((USUAL, WHOLE, (CLOSEOUT, FUND, TEAR_UP))), s.rng.randint(0, 2)
    s.depth_share, s.deposit_ppm, s.silence_share = s.rng.choice((1.0, 4.0)), (60_000, 200_000), 0.15
    s.answers |= {"silent": 6, "late": 3}
    s.actions |= {"thin_print": 50, "mark": 4, "volume": 3, "index": 5, "clock": 8, "withdraw": 3, "depth": 8}


def _endings(s: Setting) -> None:
    """Markets that the venue ends while accounts are in default there, are carried, have offers out."""
    s.rng.choice((_doubts, _carried, _joint_offers, _takeover, _socialise))(s)
    s.markets, s.settles = max(s.markets, 2), s.rng.random() < 0.5
    s.actions |= {"end_market": 1, "withdraw": 4, "clock": 8}


def _listings(s: Setting) -> None:
    """Spare markets whose rules change, that are listed, traded, settled, and listed again."""
    _endings(s)
    s.spares = s.rng.randint(1, 2)
    s.markets += s.spares
    s.epoch_ns = s.rng.choice((2 * SECOND, 30 * SECOND))
    s.silence_share = 0.2
    s.actions |= {"end_market": 4, "listing": 7, "spare_rule": 6, "mark": 20, "fill": 20}


def _settlements(s: Setting) -> None:
    """Markets that stay doubted, until they are settled, of many holders in small events."""
    _doubts(s)
    s.settles, s.silence_share, s.interval_ns = True, 0.4, SECOND
    s.breakers = s.rng.choice((("stale",), ("stale", "outage"), ("price", "stale"), BREAKERS))
    s.actions |= {"settle_price": 4, "mark": 8, "index": 5, "clock": 12, "withdraw": 4}


def _funding(s: Setting) -> None:
    """Funding by index, up to a fifth of the price at once, on prices of few ticks and of many."""
    s.price_ticks = s.rng.choice((s.rng.randint(3, 60), s.rng.randint(1_000, 50_000)))
    s.markets, s.accounts, s.owners = s.rng.randint(1, 3), 9, s.rng.choice((4, 9))
    s.move_ppm, s.crash_share, s.stages = s.rng.choice((5_000, 60_000, 300_000)), 0.2, s.rng.choice((USUAL, WHOLE))
    s.providers, s.deposit_ppm = s.rng.randint(0, 2), (60_000, 250_000)
    s.breakers = s.rng.choice(((), (), BREAKERS))
    s.actions |= {"funding_index": 14, "withdraw": 6, "position": 3}


def _carried(s: Setting) -> None:
    """Solvent accounts that the book hardly takes, carried by funds that are not full, beside insolvent
    ones that need the same money.
    """
    s.markets, s.groups, s.accounts, s.owners = s.rng.randint(1, 3), s.rng.randint(1, 2), 9, s.rng.choice((4, 9, 9))
    s.fund_ppm, s.depth_share = s.rng.choice((50_000, 200_000, 2_000_000)), s.rng.choice((0.0, 0.3))
    cap = max(1, s.notional // s.rng.choice((3, 10, 50)))
    s.fund_cap, s.owner_cap, s.market_loss_cap = (s.rng.choice((NO_CAP, NO_CAP, cap)) for _ in range(3))
    s.deposit_ppm, s.crash_share, s.move_ppm = (60_000, 300_000), 0.2, 80_000
    s.stages, s.providers = s.rng.choice((USUAL, WHOLE, (CLOSEOUT, FUND, TEAR_UP), (FUND, ADL, TEAR_UP))), s.rng.randint(0, 1)
    s.carry_intervals = s.rng.choice((2, 10, 100))
    s.actions |= {"mark": 20, "clock": 10, "depth": 8, "funding": 5, "fund": 3}
    if s.owners == 4:
        # Funds have plenty: only an owner's own cap keeps them from paying for his other account.
        s.fund_ppm, s.fund_cap, s.owner_cap, s.market_loss_cap = 2_000_000, NO_CAP, cap, NO_CAP
        s.owners, s.accounts, s.depth_share, s.stages, s.providers, s.carry_intervals = 3, 12, 0.0, (FUND, ADL, TEAR_UP), 0, 100
        s.actions |= {"mark": 12, "depth": 0, "charge_beside": 12}
    elif s.market_loss_cap < NO_CAP and s.groups == 1:
        # A cap of a market leaves deficits uncovered while somebody is carried; then winners want to leave.
        s.fund_ppm, s.fund_cap, s.owner_cap, s.markets, s.carry_intervals = 500_000, NO_CAP, NO_CAP, 3, 100
        s.accounts = 12 + (1 - s.price_ticks - s.lots) % 4  # so that a move of 2 % is what they are carried for
        s.market_loss_cap, s.depth_share, s.stages, s.crash_share = max(1, s.notional // 3), 0.0, (FUND, ADL, TEAR_UP), 0.05
        s.actions |= {"mark": 24, "depth": 0, "small_hole": 12, "withdraw": 8, "sell_out": 4}


def _far_fills(s: Setting) -> None:
    """Fills between owners far from the mark, of all sizes, and winners who want to leave."""
    s.markets, s.accounts, s.owners = s.rng.randint(1, 2), 9, s.rng.choice((4, 6, 9))
    s.fill_band_ppm, s.fund_ppm = s.rng.choice((0, 20_000, 100_000, 100_000)), s.rng.choice((0, 100_000, 2_000_000))
    s.deposit_ppm, s.crash_share, s.orders_max = (60_000, 300_000), 0.2, s.rng.choice((3, 64, 64))
    s.stages = s.rng.choice((USUAL, WHOLE, (FUND, SOCIALISE, TEAR_UP)))
    s.actions |= {"far_fill": 16, "withdraw": 8, "mark": 10}


def _any_order(s: Setting) -> None:
    """Every order of stages that a venue may have, with a provider and a fund that is soon empty."""
    s.stages, s.accounts, s.crash_share = s.rng.choice(ORDERS), s.rng.randint(4, 6), 0.4
    s.providers, s.provider_size, s.has_vault = s.rng.randint(0, 2), s.rng.choice((0.3, 1.0)), s.rng.random() < 0.3
    s.fund_ppm, s.depth_share = s.rng.choice((20_000, 300_000)), s.rng.choice((0.0, 0.3, 1.0))


def _stopped_providers(s: Setting) -> None:
    """Providers of small loss stops who take much over, in markets that then move, and a book that
    they share with defaulters.
    """
    s.stages, s.providers, s.has_vault = s.rng.choice((WHOLE, (TAKEOVER, CLOSEOUT, FUND, ADL, TEAR_UP))), s.rng.randint(1, 3), False
    s.provider_size, s.crash_share, s.move_ppm, s.depth_share = 5.0, 0.4, 120_000, s.rng.choice((0.3, 1.0))
    s.replies, s.accounts, s.silence_share = {"accept": 8, "refuse": 1, "silent": 1}, 9, 0.3
    s.actions |= {"depth": 14, "clock": 8, "mark": 20}


def _joint_offers(s: Setting) -> None:
    """Many alike who fall at once, and providers who can take over from several of them."""
    s.alike, s.accounts, s.owners, s.markets, s.crash_share = True, s.rng.randint(7, 10), s.rng.choice((4, 10)), s.rng.choice((1, 2)), 0.5
    s.stages, s.providers, s.provider_size = (
        s.rng.choice(((TAKEOVER, FUND, ADL, TEAR_UP), (TAKEOVER, FUND, TEAR_UP))),
        s.rng.randint(1, 3),
        9.0,
    )
    s.deposit_ppm, s.fund_ppm, s.provider_is_trader, s.orders_max = (60_000, 150_000), 2_000_000, 0.2, s.rng.choice((6, 64))
    s.replies = {"accept": 6, "refuse": 2, "silent": 3, "twice": 1, "late": 3, "poor": 2}
    s.actions |= {"clock": 6, "funding": 5, "deposit": 4}


def _book_first(s: Setting) -> None:
    """Accounts below close-out whose books take all at once, and providers who would take them over."""
    s.stages, s.providers, s.has_vault = s.rng.choice((WHOLE, (CLOSEOUT, TAKEOVER, FUND, TEAR_UP))), s.rng.randint(1, 3), s.lots % 2 == 0
    s.markets, s.accounts, s.depth_share, s.provider_size = s.rng.choice((1, 1, 2)), 9, 12.0, s.rng.choice((1.0, 5.0))
    s.move_ppm, s.crash_share, s.deposit_ppm, s.fund_ppm = 60_000, 0.05, (100_000, 250_000), s.rng.choice((0, 2_000_000))
    s.fee_ppm, s.silence_share = s.rng.choice((0, 1_000)), 0.1
    s.answers = {"full": 6, "parts": 3, "none": 4, "silent": 2}
    s.actions |= {"mark": 24, "depth": 24, "funding": 4, "deposit": 1}


#: Every order of stages that is accepted, those with ``solvent_pay_first`` included.
ORDERS = tuple(
    (*order, TEAR_UP) for count in range(len(WHOLE)) for order in permutations(WHOLE[:-1], count) if not misplaced((*order, TEAR_UP))
)


def _returns(s: Setting) -> None:
    """Small moves up and down around the levels, on a deep book: the same accounts leave default and come
    back.
    """
    s.markets, s.accounts, s.owners, s.lots = s.rng.randint(1, 2), 7, s.rng.choice((3, 7)), 4 * s.rng.randint(25, 200) + s.rng.randint(1, 3)
    s.depth_share, s.move_ppm, s.crash_share, s.fund_ppm = 4.0, 25_000, 0.03, s.rng.choice((0, 300_000))
    s.deposit_ppm, s.stages = (60_000, 160_000), s.rng.choice((USUAL, WHOLE))
    s.providers, s.silence_share = s.rng.randint(0, 1), 0.0
    s.actions |= {"mark": 40, "depth": 12, "fill": 4, "deposit": 1}
    s.answers = {"full": 8, "parts": 4, "half": 1}


def _parameters(s: Setting) -> None:
    """Rules that change, in any other corner."""
    PROFILES[s.rng.choice([name for name in PROFILES if name not in ("parameters", "bad_venue", "assets")])](s)
    s.actions["parameter"] = 20


def _relief(s: Setting) -> None:
    """Maintenance rates that rise and fall above accounts that could bear the first ones."""
    PROFILES[s.rng.choice(("ordinary", "tier_edges", "linked", "takeover", "whole", "funding", "returns", "profit_and_hedge"))](s)
    s.deposit_ppm, s.notice_ns = (80_000, 500_000), 5 * s.interval_ns
    s.move_ppm, s.crash_share = 30_000, 0.05
    s.actions |= {"margin": 16, "end_relief": 3, "mark": 16, "deposit": 4, "withdraw": 4}


def _leaving(s: Setting) -> None:
    """Deficits that poor funds leave uncovered, again and again, and winners of several accounts who
    want to leave and come back with new money.
    """
    s.markets, s.groups, s.accounts, s.owners = s.rng.randint(1, 3), s.rng.randint(1, 2), 9, s.rng.choice((3, 5, 9))
    s.fund_ppm, s.target_ppm, s.crash_share, s.silence_share = s.rng.choice((0, 5_000, 50_000)), s.rng.choice((0, 20_000)), 0.1, 0.1
    cap = max(1, s.notional // s.rng.choice((20, 100)))
    s.fund_cap, s.deposit_ppm = s.rng.choice((NO_CAP, NO_CAP, cap)), s.rng.choice(((100_000, 400_000), (200_000, 900_000)))
    s.stages = s.rng.choice(((FUND, TEAR_UP), (CLOSEOUT, FUND, TEAR_UP), (FUND, ADL, TEAR_UP), (TEAR_UP,), (FUND, ADL, SOCIALISE, TEAR_UP)))
    s.breakers, s.epoch_intervals = s.rng.choice(((), (), ("guard",))), s.rng.choice((1, 100))
    s.actions |= {"mark": 16, "withdraw": 20, "deposit": 6, "fund": 2, "small_hole": 4, "sell_out": 1, "clock": 4, "fill": 6}


def _pockets(s: Setting) -> None:
    """Owners with pockets and other accounts, in a corner where their money and their debts count."""
    corners = ("ordinary", "crash", "crash", "debts", "promised", "set_off", "far_fills", "owner_caps", "linked", "socialise", "takeover")
    PROFILES[s.rng.choice(corners)](s)
    s.accounts, s.owners, s.markets = max(s.accounts, 8), s.rng.randint(2, 4), s.rng.randint(1, 3)
    s.pocket_share, s.pockets_are_netted = s.rng.choice((0.3, 0.7)), s.rng.random() < 0.25
    s.contribution_ppm = s.rng.choice((0, 10_000, 300_000, 1_000_000))
    s.actions |= {"move": 12, "leave_pocket": 4, "wrong_pocket": 2}


#: What a setting may switch on.
BREAKERS = ("price", "flow", "drawdown", "stale", "outage", "guard")

PROFILES: dict[str, Callable[[Setting], None]] = {
    "ordinary": lambda _: None,
    "equal_ratios": _equal_ratios,
    "zero_rates": _zero_rates,
    "tier_edges": _tier_edges,
    "one_lot": _one_lot,
    "crash": _crash,
    "empty_book": _empty_book,
    "no_money": _no_money,
    "tiny_fund": _tiny_fund,
    "fund_cap": _fund_cap,
    "no_fund": _no_fund,
    "no_adl": _no_adl,
    "adl_first": _adl_first,
    "bare": _bare,
    "minimum_notional": _minimum_notional,
    "interval_caps": _interval_caps,
    "few_orders": _few_orders,
    "linked": _linked,
    "refusals": _refusals,
    "bad_venue": _bad_venue,
    "silence": _silence,
    "halts": _halts,
    "rounding": _rounding,
    "huge": _huge,
    "profit_and_hedge": _profit_and_hedge,
    "promised": _promised,
    "whole": _whole,
    "takeover": _takeover,
    "vault": _vault,
    "failing_providers": _failing_providers,
    "socialise": _socialise,
    "groups": _groups,
    "owner_caps": _owner_caps,
    "arrears": _arrears,
    "breakers": _breakers,
    "one_breaker": _one_breaker,
    "policies": _policies,
    "doubted_marks": _doubted_marks,
    "support": _support,
    "debts": _debts,
    "set_off": _set_off,
    "funding": _funding,
    "carried": _carried,
    "returns": _returns,
    "any_order": _any_order,
    "stopped_providers": _stopped_providers,
    "joint_offers": _joint_offers,
    "doubts": _doubts,
    "thin_prints": _thin_prints,
    "far_fills": _far_fills,
    "settlements": _settlements,
    "parameters": _parameters,
    "relief": _relief,
    "book_first": _book_first,
    "leaving": _leaving,
    "endings": _endings,
    "listings": _listings,
    "pockets": _pockets,
}


def _inverse(s: Setting) -> None:
    # Any other corner, with markets whose values are rounded: lots of many atoms, and of parts of one.
    s.inverse = s.rng.choice((1, 1, 2))
    PROFILES[s.rng.choice([name for name in PROFILES if name not in ("huge", "inverse", "assets")])](s)
    if s.inverse == 1:
        s.divisor = s.rng.choice((1, 1, 7, s.price_ticks, 50 * s.price_ticks))
    s.crash_share = max(s.crash_share, 0.3)


PROFILES["inverse"] = _inverse


def _assets(s: Setting) -> None:
    # Several assets in any other corner, inverse markets beside linear ones; often with all stages.
    PROFILES[s.rng.choice([name for name in PROFILES if name not in ("huge", "assets")])](s)
    if s.rng.random() < 0.4:
        _whole(s)
    s.assets = s.rng.choice((2, 2, 3))
    s.markets, s.groups = max(s.markets, s.assets + s.rng.randint(0, 2)), max(s.groups, s.assets + s.rng.randint(0, 1))
    s.accounts, s.owners = max(s.accounts, s.assets * 3), max(s.owners, s.assets + s.rng.randint(0, 6))
    s.inverse = s.inverse or s.rng.choice((0, 2, 2))
    s.venue_cap = NO_CAP
    s.actions |= {"wrong_asset": 4}


PROFILES["assets"] = _assets


def _few_rows(s: Setting) -> None:
    """Positions that come and go over short epochs, in a venue with hardly a row too many; late fills of
    orders whose row is another's by then.
    """
    PROFILES[s.rng.choice([name for name in PROFILES if name != "huge"])](s)
    s.markets, s.positions_max = max(s.markets, 2), s.rng.randint(3, s.accounts + 4)
    s.epoch_ns = max(1, s.interval_ns * s.rng.choice((1, 3, 10)))
    s.actions |= {"fill": 24, "sell_out": 8, "late_fill": 6, "clock": 4}


#: Corners that no seed looks into by itself: whoever wants one names it.
NAMED_PROFILES: dict[str, Callable[[Setting], None]] = {"few_rows": _few_rows}


def make_setting(rng: Random, profile: str) -> Setting:
    """Draw an ordinary setting and push it into the profile's corner."""
    accounts = rng.randint(4, 9)
    setting = Setting(
        rng=rng,
        markets=rng.choice((1, 2, 2, 3)),
        accounts=accounts,
        owners=rng.choice((accounts, accounts, 3)),
        price_ticks=rng.choice((rng.randint(20, 200), rng.randint(1_000, 50_000))),
        factor=rng.choice((1, 1, 7, 1_000)),
        lots=rng.choice((rng.randint(2, 12), rng.randint(50, 5_000))),
        fee_ppm=rng.choice((0, 1_000, 5_000, 5_000, 60_000)),
        interval_ns=rng.choice((SECOND, SECOND, 3, 1)),
        depth_share=rng.choice((0.3, 1.0, 4.0)),
        adl_policy=rng.choice((AdlPolicy.CAPPED_PRO_RATA, *AdlPolicy)),
    )
    (PROFILES | NAMED_PROFILES)[profile](setting)
    if "outage" in setting.breakers:
        setting.actions["heartbeat"] = 2
    return setting


def _tiers(setting: Setting) -> tuple[TierRules, ...]:
    rng, unit = setting.rng, setting.price_ticks * setting.factor
    if setting.divisor > 1:
        unit = max(1, unit // setting.divisor // FLOOR_STEP_ATOMS) * FLOOR_STEP_ATOMS
    if setting.rates == "zero":
        return (TierRules(0, rng.choice((0, RATE_STEP_PPM)), 0),)
    if setting.rates == "edges":
        floors = sorted({0} | {rng.randint(1, 3 * setting.lots) * unit for _ in range(rng.randint(2, 6))})
    else:
        largest = max(1, 4 * setting.notional // FLOOR_STEP_ATOMS)
        floors = sorted({0} | {rng.randint(1, largest) * FLOOR_STEP_ATOMS for _ in range(rng.randint(0, 3))})
    maintenance = sorted(rng.randint(0 if setting.rates == "edges" else 1, 6) for _ in floors)
    if setting.rates == "half_zero":
        maintenance[0] = 0
    initial, tiers = 0, []
    for floor, rate in zip(floors, maintenance, strict=True):
        initial = max(initial, rate + rng.randint(0, 2))
        tiers.append(TierRules(floor, initial * RATE_STEP_PPM, rate * RATE_STEP_PPM))
    return tuple(tiers)


def _thresholds(rng: Random, low: int, high: int) -> tuple[int, int, int]:
    """Draw where a breaker throttles, halts and ends; one of the first two may be off."""
    throttle, halt = sorted((rng.randint(low, high), rng.randint(low, high)))
    which = rng.random()
    throttle, halt = (0 if which < 0.2 else throttle), (0 if which > 0.8 else halt)
    return throttle, halt, rng.randint(1, throttle or halt)


def _stops(setting: Setting) -> dict[str, int]:
    """Draw a market's breakers and price guard."""
    rng = setting.rng
    stops: dict[str, int] = {}
    if "price" in setting.breakers:
        names = ("price_throttle_ppm", "price_halt_ppm", "price_exit_ppm")
        stops |= dict(zip(names, _thresholds(rng, 5_000, 400_000), strict=True))
    if "flow" in setting.breakers:
        throttle, halt, _ = _thresholds(rng, max(1, setting.notional // 20), max(2, 3 * setting.notional))
        stops |= {"flow_throttle": throttle, "flow_halt": halt}
    if "guard" in setting.breakers:
        stops |= {"guard_jump_ppm": rng.choice((5_000, 50_000, 200_000)), "guard_volume_lots": rng.randint(1, 1 + setting.lots)}
    return stops


def _initial(setting: Setting) -> dict[str, int]:
    """Return how a market gives its initial margin, by numbers already drawn."""
    number = setting.price_ticks + setting.lots + setting.accounts
    lower = setting.notional * (number % 4)
    interest = {"interest_lower": lower, "interest_upper": lower + setting.notional * 8} if number % 5 < 2 else {}
    return {"initial_margin": int(tuple(InitialMargin)[number % 3])} | interest


def _group(setting: Setting, market: int) -> dict[str, int]:
    """Draw the group of a market, among those of its asset: each asset has a market."""
    asset = market % setting.assets
    groups = [group for group in range(setting.groups) if group % setting.assets == asset]
    return {"group": groups[setting.rng.randrange(setting.groups) % len(groups)], "settlement_asset": asset}


def _asset(setting: Setting, asset: int) -> AssetRules:
    """Return the rules of an asset: no two have the same."""
    of_parts = (0, setting.notional // 30, setting.notional // 4, 2 * setting.notional)
    of_halts = (0, 0, setting.notional // 20, setting.notional // 2)
    owner_cap = setting.owner_cap
    return AssetRules(
        minimum_notional=setting.minimum_notional * (1 + asset),
        account_notional_max=setting.account_cap,
        owner_loss_max=owner_cap if owner_cap == NO_CAP else owner_cap * (1 + 2 * asset),
        deficit_halt=of_halts[(setting.notional + asset) % 4],
        parts_min_notional=of_parts[(setting.accounts + asset) % 4],
    )


def _market(setting: Setting, market: int) -> MarketRules:
    rng = setting.rng
    bands = sorted(rng.sample(range(80), rng.randint(1, 4)))
    number = setting.price_ticks + setting.lots + len(bands) + bands[0]
    return MarketRules(
        notional_factor=setting.factor_of(market),
        contract_kind=int(ContractKind.INVERSE if setting.is_inverse(market) else ContractKind.LINEAR),
        price_ticks_min=1 + setting.price_ticks // 9 if setting.is_inverse(market) else 1,
        price_ticks_max=min(PRICE_TICKS_LIMIT, 4 * setting.price_ticks),
        position_lots_max=4 * setting.lots,
        tiers=_tiers(setting),
        band_offset_ppm=tuple(band * 1_000 for band in bands),
        slippage_tolerance_ppm=rng.choice((0, 10_000, 30_000, 30_000, 79_999, 200_000)),
        ordered_notional_max=setting.market_cap,
        loss_per_window_max=setting.market_loss_cap,
        fill_band_ppm=setting.fill_band_ppm,
        # By numbers already drawn.
        factor_loading_ppm=(1_000_000, 940_848, -333_333, 7)[number % 4],
        **_group(setting, market),
        reports_depth=int((setting.price_ticks + setting.lots + setting.accounts) % 3 == 0),
        **_initial(setting),
        **_stops(setting),
    )


def _commitment(setting: Setting) -> CommitmentRules:
    rng, size = setting.rng, max(1, int(setting.notional * setting.provider_size))
    return CommitmentRules(
        capacity=min(NO_CAP, rng.choice((0, size, 3 * size))),
        refill_per_s=min(NO_CAP, rng.choice((0, size // 60, size * SECOND // max(1, 60 * setting.interval_ns)))),
        position_notional_max=rng.choice((NO_CAP, size)),
        edge_ppm=rng.choice((0, 5_000, 30_000)),
    )


def _pair(setting: Setting, group: int, asset: int) -> tuple[CommitmentRules, CommitmentRules]:
    """Draw what a provider of an asset takes over of a group: nothing of another asset's."""
    longs, shorts = _commitment(setting), _commitment(setting)
    if group % setting.assets != asset:
        longs, shorts = longs._replace(capacity=0), shorts._replace(capacity=0)
    return longs, shorts


def _provider(setting: Setting, number: int) -> ProviderRules:
    rng = setting.rng
    return ProviderRules(
        commitments=tuple(_pair(setting, group, number % setting.assets) for group in range(setting.groups)),
        asset=number % setting.assets,
        leverage_ppm=rng.choice((1_000_000, 5_000_000, 50_000_000)),
        loss_stop=rng.choice((NO_CAP, max(1, setting.notional // 5))),
        is_vault=setting.has_vault and number == setting.providers - 1,
    )


def _waits(setting: Setting) -> dict[str, int]:
    """Draw for how long accounts wait for doubts, marks and halts."""
    if not setting.waits:
        return {}
    rng, interval_ns = setting.rng, setting.interval_ns
    return {
        "act_age_max_ns": interval_ns * rng.choice((0, 1, 5)),
        "doubt_max_ns": interval_ns * rng.choice((1, 10, 60, 600)),
        "doubt_settles": int(setting.settles),
        "halt_wait_max_ns": interval_ns * rng.choice((0, 2, 60)),
    }


def _breaker_rules(setting: Setting) -> BreakerRules:
    rng, interval_ns = setting.rng, setting.interval_ns
    throttle, halt, _ = (
        _thresholds(rng, max(1, setting.notional // 5), 6 * setting.notional + 2) if "flow" in setting.breakers else (0, 0, 0)
    )
    if setting.assets > 1:
        throttle = halt = 0
    return BreakerRules(
        hold_max_ns=interval_ns * rng.choice((1, 10, 60)),
        reopen_ns=interval_ns * rng.choice((1, 5)),
        throttle_share_ppm=rng.choice((1, 250_000, 1_000_000)),
        price_window_ns=interval_ns * rng.choice((1, 5, 60)),
        flow_window_ns=interval_ns * rng.choice((1, 5, 60)),
        flow_exit_ppm=rng.choice((0, 500_000, 1_000_000)),
        flow_throttle=throttle,
        flow_halt=halt,
        stale_ns=interval_ns * rng.choice((2, 20)) if "stale" in setting.breakers else 0,
        outage_gap_ns=interval_ns * rng.choice((2, 20)) if "outage" in setting.breakers else 0,
        outage_grace_ppm=rng.choice((0, 500_000, 1_000_000)),
        outage_grace_max_ns=interval_ns * 10,
        operator_hold_max_ns=interval_ns * 30,
        guard_hold_ns=interval_ns * rng.choice((1, 10)),
        deficit_window_ns=interval_ns * (5, 60)[setting.lots % 2],
        **_waits(setting),
    )


def _funds(setting: Setting) -> FundsRules:
    rng, interval_ns = setting.rng, setting.interval_ns
    enter = rng.choice((50_000, 300_000)) if "drawdown" in setting.breakers else 0
    return FundsRules(
        window_ns=max(16, interval_ns * rng.choice((1, 5, 60))),
        trading_fee_share_ppm=rng.choice((0, 333_333, 1_000_000)),
        recovery_interval_ns=max(16, interval_ns * rng.choice((1, 5))),
        owner_memory_ns=interval_ns * (1, 10, 1_000, 1_000)[setting.notional % 4],
        hold_withdrawals_max_ns=interval_ns * (4, 1_000, 1_000)[setting.notional % 3],
        drawdown_window_ns=max(16, interval_ns * rng.choice((16, 100))),
        drawdown_enter_ppm=enter,
        drawdown_exit_ppm=enter * 5 // 6,
        pockets_are_netted=setting.pockets_are_netted,
    )


def _carry(setting: Setting) -> dict[str, int]:
    """Return for how long solvent accounts are carried and for which move, by numbers already drawn."""
    number = setting.price_ticks + setting.lots + setting.accounts
    intervals = (0, 0, 3, 30)[number % 4] if setting.carry_intervals is None else setting.carry_intervals
    return {"carry_max_ns": setting.interval_ns * intervals, "carry_move_ppm": (0, 20_000, 100_000, 1_000_000)[number % 4]}


def make_rules(setting: Setting) -> VenueRules:
    """Return the venue's rules of a setting."""
    rng, interval_ns = setting.rng, setting.interval_ns
    stages = setting.stages
    return VenueRules(
        markets=tuple(
            _market(setting, market)._replace(is_listed=int(market < setting.markets - setting.spares)) for market in range(setting.markets)
        ),
        levels=LevelRules(
            warning_ratio_ppm=rng.choice((1_050_000, 1_500_000, 2_500_000)),
            exit_buffer_ppm=rng.choice((0, 50_000, 50_000)),
            close_out_ratio_ppm=rng.choice((666_667, 666_667, 0, 1_000_000)),
            return_buffer_ppm=(0, 50_000, 150_000, 450_000)[setting.lots % 4],
            return_buffer_max_ppm=(0, 100_000, 500_000, 2_000_000)[setting.accounts % 4],
            return_memory_ns=interval_ns * (3, 30, 1_000)[setting.price_ticks % 3],
            relief_notice_ns=setting.notice_ns or LevelRules().relief_notice_ns,
        ),
        stages=stages,
        closeout=CloseoutRules(
            fee_ppm=setting.fee_ppm,
            depth_share_ppm=rng.choice((250_000, 250_000, 1_000_000, 100_000)),
            volume_share_ppm=rng.choice((1_000_000, 100_000)),
            interval_ns=interval_ns,
            deadline_ns=interval_ns * rng.choice((1, 3, 30)),
            order_timeout_ns=interval_ns * rng.choice((1, 2, 10)),
            cap_interval_ns=interval_ns * rng.choice((5, 60)),
            venue_notional_max=setting.venue_cap,
            **_carry(setting),
        ),
        funds=tuple(
            FundRules(
                loss_per_window_max=setting.fund_cap,
                target=setting.notional * setting.target_ppm // 1_000_000,
                contribution_ppm=setting.contribution_ppm,
                asset=group % setting.assets,
            )
            for group in range(setting.groups)
        ),
        fund=_funds(setting),
        providers=tuple(_provider(setting, number) for number in range(setting.providers)),
        takeover=TakeoverRules(
            provider_share_ppm=rng.choice((0, 333_333, 500_000, 1_000_000)),
            answer_timeout_ns=interval_ns * rng.choice((1, 2, 10)),
            failures_max=rng.choice((1, 2, 3)),
            retry_ns=interval_ns * rng.choice((1, 5)),
            off_ns=interval_ns * rng.choice((2, 20)),
            offer_range_ppm=(0, 20_000, 100_000)[setting.price_ticks % 3],
        ),
        disposal=DisposalRules(
            interval_ns=interval_ns * rng.choice((1, 3)),
            share_ppm=rng.choice((1, 100_000, 1_000_000)),
            tolerance_ppm=rng.choice((0, 10_000, 100_000)),
        ),
        breakers=_breaker_rules(setting),
        adl_policy=setting.adl_policy,
        adl=AdlRules(
            counterparties_max=(0, 3, 0, 1, 2)[setting.lots % 5],
        ),
        socialise_policy=setting.socialise_policy,
        assets=tuple(_asset(setting, asset) for asset in range(setting.assets)),
        limits=LimitRules(
            accounts_max=setting.accounts + setting.providers + 1,
            positions_max=setting.positions_max,
            orders_max=setting.orders_max,
            effects_max=96 if rng.random() < 0.5 else 1 << 16,
        ),
        solvent_pay_first=bool(paid_first(stages)),
        epoch_ns=setting.epoch_ns or interval_ns * max(setting.epoch_intervals, rng.choice((3, 30, 1_000))),
    )
