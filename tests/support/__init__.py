"""Servers that tests talk to where the real ones are not to be had, or not to be asked so much."""
