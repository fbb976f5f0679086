"""Paths of contexts: which are local, and what they are relative to."""

from __future__ import annotations

import os

from croze.bake.definition.read import Definition
from croze.bake.target import Target

_HTTP = ("http://", "https://")
_SPECIAL = ("cwd://", "target:", "docker-image:", "oci-layout://")


def is_remote(text: str) -> bool:
    """Whether the text is the address of a git repository or of something on the web."""
    return text.startswith(_HTTP) or is_git(text)


def is_git(text: str) -> bool:
    """Whether the text is the address of a git repository."""
    if "://" not in text and "@" not in text:
        return text.startswith("github.com/")
    from croze.llb.gitref import is_git_ref

    return is_git_ref(text)


def rebased(base: str, path: str) -> str:
    """A path of a file in the directory `base`, unless it does not depend on where one is."""
    if not base or not path or path.startswith(_SPECIAL) or is_remote(path) or os.path.isabs(path):
        return path
    return os.path.normpath(os.path.join(base, path))


def rebase(definition: Definition) -> None:
    """Make paths relative to the working directory that were relative to their files."""
    by_name = {each.name: each for each in definition.targets}
    for target in definition.targets:
        _take_over(target, by_name)
        _rebase(target)


def _take_over(target: Target, by_name: dict[str, Target]) -> None:
    """A context taken over from another target is relative to where that one has it from."""
    other = by_name.get(target.bases.context_from)
    if other is None:
        return
    if other.bases.context is not None:
        target.bases.context = other.bases.context
    elif other.bases.default is not None:
        target.bases.context = other.bases.default


def _rebase(target: Target) -> None:
    bases = target.bases
    if target.context is None:
        bases.use_default = bases.default is not None
    elif bases.context is not None:
        target.context = rebased(bases.context, target.context)
    if target.contexts:
        target.contexts = {
            name: rebased(bases.contexts[name], path) if name in bases.contexts else path
            for name, path in target.contexts.items()
        }
