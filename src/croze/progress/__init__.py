"""A stream of status becomes text: tty, plain, rawjson, quiet."""
