"""The HCL language: native syntax and JSON, from text to a syntax tree, and how problems are told.

The parser is our own. python-hcl2 gives plain dictionaries: no source ranges, no evaluation, and
its grammar accepts less than HCL does. tree-sitter-hcl gives ranges, but of its own grammar: a
broken file becomes ERROR nodes where HCL has a summary, a detail and a position, and those three
are what people see and what tools match on. Both leave the values, the larger part, to be written
anyway.
"""
