"""Bring a daemon into being and dial it."""
