"""YAML as Go's loader reads it: `y` and `on` are true, dates are texts."""

from __future__ import annotations

import re

import yaml

_BOOLEAN = "tag:yaml.org,2002:bool"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}  # noqa: RUF012


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in resolvers if pair[0] != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile("[yYnN]"), list("yYnN"))


def load(text: str) -> object:
    """The plain value of a YAML text. Raises `yaml.YAMLError`."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
