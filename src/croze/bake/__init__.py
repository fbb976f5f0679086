"""Bake files: HCL, HCL JSON and compose text become resolved targets.

Evaluation is pure: text goes in, targets come out. What is not text (environment variables, the
home directory, the clock, files that others name) is asked of a small protocol that the caller
implements.
"""
