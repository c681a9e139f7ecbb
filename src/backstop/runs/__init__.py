"""One run: prices and accounts through the simulated venue and the engine, onto a journal, counted
and checked.

Not called ``replay``: that is the public function, ``from backstop import replay``.
"""
