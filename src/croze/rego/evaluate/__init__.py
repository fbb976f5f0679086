"""Finds solutions: generators go through all of them, and bind variables on the way."""
