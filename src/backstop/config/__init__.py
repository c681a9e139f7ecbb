"""The venue file: read, proved, resolved.

Knows the engine's rules and nothing else of the program.
"""

from backstop.config.findings import ConfigError, Finding
from backstop.config.load import default_text, load_venue, parse_venue
from backstop.config.quantise import OffGridError, Rounding, decimal_text, steps_of, value_of
from backstop.config.venue import Asset, BookRules, MarketSpec, SeveralAssetsError, Venue

__all__ = [
    "Asset",
    "BookRules",
    "ConfigError",
    "Finding",
    "MarketSpec",
    "OffGridError",
    "Rounding",
    "SeveralAssetsError",
    "Venue",
    "decimal_text",
    "default_text",
    "load_venue",
    "parse_venue",
    "steps_of",
    "value_of",
]
