"""Bake files in HCL and JSON: variables, functions and blocks become targets and groups.

Everything is evaluated when it is first needed: an attribute of a block may use a variable, that
one a function, and that an attribute of another block.
"""
