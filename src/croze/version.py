"""The version of all of Croze; `croze.__version__`. Imports nothing."""

VERSION = "0.1.0"
