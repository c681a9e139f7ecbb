"""The reference: the rules of ``docs/rules`` once more, slow and obvious, in plain Python
integers.

It is written from the rules and apart from the kernels. Of ``core`` it imports only what is data:
the tables of events and effects, and the venue's rules.

Two kinds of rooms stand here. Values know no state, and whoever has their numbers may ask them:
``margin`` (contract, holding, portfolio, standing), ``book`` (a side of the book, slices, limits),
``funds`` (what a fund may pay), ``closing`` (one position on its way to the book), ``offering``
(one position on its way to providers), ``wave`` (ADL and tear-up), ``loss`` (what others bear),
``allocation``, ``machine`` (a circuit breaker). The others are an engine that keeps a ``State`` and
takes every number from those values; the random streams compare it with the kernels.
"""
