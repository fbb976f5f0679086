"""URLs as they may be shown and stored: without the user and the password in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from croze.patterns import lazy_pattern

MASK = "xxxxx"

_USER = lazy_pattern(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^/?#]*)@(?![a-z0-9]+:[0-9a-f]{32,})")
"""What stands before a digest is the name of an image."""
_KEYS = frozenset({"secret_access_key", "session_token", "token", "ghtoken"})
"""Attributes of caches that nobody else may see."""
_IN_TEXT = lazy_pattern(
    r"\b((?:https?|ssh|git|ftps?|git\+\w+|ssh\+git)://)([^/?#\s'\"<>`]+)@", re.I
)


def redact(url: str) -> str:
    """A URL with user and password masked, as BuildKit shows it (`util/urlutil`); anything else as
    it is. A token may well stand in the user's place."""
    return _USER.sub(_masked, url, count=1) if _USER.match(url) else url


def redact_text(text: str) -> str:
    """`redact` every web, git or ssh URL in a text, such as what another program printed."""
    return _IN_TEXT.sub(_masked, text) if "@" in text and "://" in text else text


def redact_attrs(attrs: Mapping[str, str]) -> dict[str, str]:
    """A request's attributes: every URL in them, and the keys of caches that they name."""
    return {
        key: _without_keys(value) if key == "cache-imports" else redact_text(value)
        for key, value in attrs.items()
    }


def _without_keys(text: str) -> str:
    """Caches as `[{"Type": ..., "Attrs": {...}}]`. What is not of that form is masked whole."""
    try:
        listed = json.loads(text)
        for entry in listed:
            for name, value in entry["Attrs"].items():
                entry["Attrs"][name] = MASK if name in _KEYS else redact_text(value)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return MASK
    return json.dumps(listed, separators=(",", ":"))


def _masked(match: re.Match[str]) -> str:
    scheme, credentials = match.groups()
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{MASK if user else ''}{colon}{MASK if colon else ''}@"
