"""Ways to spoil a file: bytes, texts and numbers at their edges."""

from __future__ import annotations

import gzip
from random import Random

__all__ = ["EDGE_NUMBERS", "EDGE_TEXTS", "EDGE_TIMES", "edge_number", "spoilt_bytes"]

_NINES = [("9" * digits) for digits in (15, 16, 17, 18, 19, 20, 41, 400, 4301)]
_POWERS = [str(sign * ((1 << bits) + by)) for bits in (31, 32, 53, 60, 61, 62, 63, 64) for by in (-1, 0, 1) for sign in (1, -1)]
_FINE = ["0." + "3" * digits for digits in (14, 15, 16, 17, 18, 30, 42, 4400)] + [
    "0." + "0" * 50 + "1",
    "1." + "0" * 60,
    "1" + "0" * 5000 + ".5",
]

#: Numbers as people and programs write them, right or wrong.
EDGE_NUMBERS = [
    *("0", "-0", "0.0", "1", "-1", "1e0", "1E+2", "1e-7", "0.1", "0.05", "0.125", "0.25", "0.375", "1.0005", "0.0005", "0.00049999"),
    *("100", "120000.05", "120000.15", "121000.1", "999999.95", "1000000", "1000000.04", "1000000.06", "1000001", "99999.875", "100000.25"),
    *(
        "1_000",
        "1,000",
        "+5",
        " 7 ",
        "007",
        ".5",
        "5.",
        "-.5",
        "1e400",
        "-1e400",
        "1e-400",
        "1e40",
        "1e41",
        "1e-40",
        "1e-41",
        "1e22",
        "1e16",
    ),
    *("NaN", "nan", "-nan", "sNaN", "inf", "-inf", "Infinity", "0x10", "1/3", "None", "null", "", "١٢٣", "１２", "1e", "e5", "--1", "1-2"),  # noqa: RUF001
    *("1.2.3", "true", "-", ".", "1e1e1", "2.5e-1", "12345678901234.5", "123456789012345.6", "9007199254740993", "0.30000000000000004"),
    *_NINES,
    *(f"-{text}" for text in _NINES[3:6]),
    *_POWERS,
    *_FINE,
]

EDGE_TIMES = [
    *("2025-10-10", "2025-10-10T21:00", "2025-10-10 21:00:00", "2025-10-10T21:00:00.5Z", "2025-10-10T21:00:00.123456789Z"),
    *("2025-10-10T21:00:00+00:00", "2025-10-10T21:00:00-0000", "2025-10-10T21:00:00+02:00", "2025-10-10T21:00:00.1234567890Z"),
    *("1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2115-12-31T23:59:59Z", "2116-01-01", "9999-01-01", "0000-01-01", "2025-02-29"),
    *(
        "2024-02-29",
        "2025-13-01",
        "2025-10-10T24:00:00Z",
        "2025-10-10T23:59:60Z",
        "10/10/2025",
        "21:00",
        "now",
        "1760130000",
        "1760130000000",
    ),
    *("1760130000000000000", "1760130000.5", "-1", "0", "4611686018427387903", "4611686018427387904", "9223372036854775807", ""),
    *("9223372036854775808", "２０２５-10-10", "2025-10-10T21:00:00z", " 2025-10-10T21:00:01Z "),  # noqa: RUF001
]

EDGE_TEXTS = [
    *("", " ", "\t", "BTC", "btc/usdt:usdt", "BTC/USDT", "BTC/USDT:USDT ", "BTC\u00a0/USDT:USDT", "ETH/USDT:USDT", "BTC/USDT:USDT\x00"),
    *("\ufeffBTC/USDT:USDT", "ВТС/USDT:USDT", "\U0001f4a9", "a" * 300, "a" * 70_000, '"', "'", ",", "\n", "a\r\nb", "\x00", "\x1b[31m"),  # noqa: RUF001
    *("NULL", "nan", "None", "OUTSIDE", "provider:first", "USDT", "usdt", "USDC", "long", "-1", "../../etc", "%s%n", "{0}", "é", "e\u0301"),
]


def edge_number(rng: Random) -> str:
    """Return a number at an edge, or one near to a random power of ten."""
    if rng.random() < 0.6:
        return rng.choice(EDGE_NUMBERS)
    digits = str(rng.randrange(1, 10 ** rng.randint(1, 22)))
    point = rng.randint(0, len(digits))
    text = digits[:point] + "." + digits[point:] if rng.random() < 0.6 else digits
    return rng.choice(("", "", "", "-")) + text


def _flipped(rng: Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _scrambled(rng: Random, data: bytearray) -> None:
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.randint(1, 200))
    data[first:last] = rng.choice((bytes(last - first), rng.randbytes(last - first), b"\xff" * (last - first), b""))


def _cut(rng: Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _inserted(rng: Random, data: bytearray) -> None:
    place = rng.randint(0, len(data))
    data[place:place] = rng.choice(
        (rng.randbytes(rng.randint(1, 20)), b"\r", b"\r\n", b'"', b"\x00", b"\xef\xbb\xbf", b"\xed\xa0\x80", b",")
    )


def _repeated(rng: Random, data: bytearray) -> None:
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.randint(1, 500))
    data[last:last] = data[first:last] * rng.choice((1, 1, 2, 50))


def _recoded(rng: Random, data: bytearray) -> None:
    text = bytes(data).decode("utf-8", "replace")
    data[:] = text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037")), "replace")


def _packed(rng: Random, data: bytearray) -> None:
    data[:] = gzip.compress(bytes(data), 1)


def spoilt_bytes(rng: Random, data: bytes) -> bytes:
    """Return the bytes with one to three things done to them; sometimes nothing but random
    bytes.
    """
    if rng.random() < 0.05:
        return rng.randbytes(rng.choice((0, 1, 10, 100, 1000)))
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if spoilt:
            rng.choice((_flipped, _flipped, _scrambled, _cut, _inserted, _repeated, _recoded, _packed))(rng, spoilt)
    return bytes(spoilt)
