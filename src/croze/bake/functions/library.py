"""All functions there are, by name."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from croze.bake.functions import (
    arithmetic,
    collections,
    csv_text,
    dates,
    encoding,
    formatting,
    network,
    regex,
    sets,
    special,
    texts,
    versions,
)
from croze.bake.functions.support import function, of_texts
from croze.bake.functions.surroundings import Surroundings
from croze.bake.hcl.function import Function
from croze.bake.values.types import STRING
from croze.bake.values.value import string


def _base(path: str) -> str:
    """The last element of a path, as Go's path.Base has it."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _directory(path: str) -> str:
    """All but the last element of a path, cleaned, as Go's path.Dir has it."""
    cleaned = posixpath.normpath(path[: path.rfind("/") + 1] or ".")
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def standard_library(surroundings: Surroundings) -> Mapping[str, Function]:
    return {
        **arithmetic.FUNCTIONS,
        **texts.FUNCTIONS,
        **collections.FUNCTIONS,
        **sets.FUNCTIONS,
        **regex.FUNCTIONS,
        **formatting.FUNCTIONS,
        **csv_text.FUNCTIONS,
        **network.FUNCTIONS,
        **versions.FUNCTIONS,
        **special.FUNCTIONS,
        **encoding.functions(surroundings),
        **dates.functions(surroundings),
        "basename": of_texts(_base, "path"),
        "dirname": of_texts(_directory, "path"),
        "homedir": function(lambda _: string(surroundings.home()), returns=STRING),
    }
