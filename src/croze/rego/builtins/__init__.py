"""The built-in functions that buildx lets policies call: those of OPA without network or secrets.

A function gets values and returns one, or raises `FunctionError`: the expression is undefined then,
as in OPA. `library.py` is the table of them all.
"""
