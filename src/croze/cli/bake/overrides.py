"""What the flags of `croze bake` say about variables and targets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from croze.bake.errors import BakeError
from croze.bake.options.entries import canonical_attest
from croze.bake.options.policy import parse_policy
from croze.gotypes.quote import quote


def read_variables(texts: Sequence[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for text in texts:
        if not text:
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise BakeError(f"invalid variable {quote(text)}, expected key=value")
        if not name:
            raise BakeError(f"invalid variable {quote(text)}, key is empty")
        variables[name] = value
    return variables


def read_overrides(args: argparse.Namespace, call: str) -> list[str]:
    """What the shorthand flags stand for, after what is set in so many words."""
    overrides = list(args.set)
    if args.push:
        overrides.append("*.push=true")
    if args.load:
        overrides.append("*.load=true")
    if call:
        overrides.append(f"*.call={call}")
    for flag, key in ((args.no_cache, "no-cache"), (args.pull, "pull")):
        if flag is not None:
            overrides.append(f"*.{key}={'true' if flag else 'false'}")
    for kind in ("sbom", "provenance"):
        text = getattr(args, kind)
        if text:
            overrides.append(f"*.attest={canonical_attest(kind, text)}")
    return overrides


def read_policies(texts: Sequence[str]) -> tuple[list[str], bool]:
    """Policies for all targets as overrides, and whether they are turned off altogether."""
    parsed = [parse_policy(text) for text in texts]
    for policy in parsed:
        where = "define policy files in the bake definition"
        if policy.files:
            raise BakeError(f"--policy does not accept filename; {where}")
        if policy.reset:
            where = "define policy composition in the bake definition"
            raise BakeError(f"--policy does not accept reset; {where}")
        if policy.disabled:
            if policy.strict is not None or policy.log_level is not None or len(parsed) > 1:
                raise BakeError("disabled policy cannot be combined with other policy flags")
            return [], True
    return [f"*.policy+={text}" for text in texts], False
