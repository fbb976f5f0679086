"""Comparison with what BuildKit itself produced.

`python -m tests.golden DIR` checks any folder in the corpora's format; `data/` holds the sample
that the tests run on.
"""
