"""One module a command; parsing, printing, exit codes.

Imports lazily: start-up time is a feature.
"""
