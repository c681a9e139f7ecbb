"""The figures, one module a source: where they come from, the source's formula, its units, its
cases.
"""
