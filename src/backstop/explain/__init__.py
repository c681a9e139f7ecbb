"""Why an account was treated as it was: each decision about it, from the tape alone, in words and
numbers.

The journal is replayed to each event that decided something about the account. ``books`` reads
those who took part in it before the event, and follows the tape from there. Every number that is
shown is the reference's (``backstop.reference``), which is written from docs/rules and apart
from the engine's kernels, and is compared with what the tape says.

``walk`` goes through the tape, ``facts`` says what each kind of effect means (a table by
``EffectKind``), ``text`` prints.
"""

from backstop.explain.facts import Check, Fact
from backstop.explain.text import as_json, as_text
from backstop.explain.walk import Decision, Explanation, explain, rules_at

__all__ = ["Check", "Decision", "Explanation", "Fact", "as_json", "as_text", "explain", "rules_at"]
