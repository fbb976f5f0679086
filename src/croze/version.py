"""The version of all of Croze; `croze.__version__`. Imports nothing."""

VERSION = "0.1.0"
TEXT = f"croze v{VERSION}"
"""What `croze version` prints."""
