"""What counts as white space: Unicode's White_Space property, as BuildKit's parser sees it."""

SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""For `str.strip`. Python's own set has the control characters 0x1c to 0x1f in addition."""


def is_space(char: str) -> bool:
    """Whether one character is white space."""
    return char in SPACE
