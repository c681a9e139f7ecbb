"""The reference: the rules of ``docs/rules.md`` once more, slow and obvious, in plain Python integers.

It is written from the rules and apart from the kernels. Of ``core`` it imports only what is data: the tables of events
and effects, and the venue's rules.
"""
