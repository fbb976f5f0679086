"""Values as Go's standard library reads and writes them, where users or other tools see its texts.

What may go in: one module a Go type or package, plain functions, no I/O.
"""
