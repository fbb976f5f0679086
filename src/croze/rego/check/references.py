"""References into documents whose types are known."""

from __future__ import annotations

from collections.abc import Sequence

from croze.rego.check.matching import Matching
from croze.rego.check.scope import BodyScope
from croze.rego.check.shown import shown
from croze.rego.check.types import (
    ANY,
    FunctionType,
    MaybeType,
    keys,
    known_keys,
    selected,
    unifies,
    values,
)
from croze.rego.errors import TYPE, Problem
from croze.rego.syntax import ArrayTerm, ObjectTerm, RefTerm, Scalar, SetTerm, Term, Var
from croze.rego.values import Value, text


class ReferenceCheck(Matching):
    """Checks references into documents. Raises `Problem` for one that leads nowhere."""

    def check_ref(self, ref: RefTerm, scope: BodyScope) -> None:
        type = self.type_of(ref, scope)
        if isinstance(type, FunctionType):
            raise _unsupported(ref, len(ref.path), type)
        match ref.head:
            case Var(name="input"):
                self._leads(ref, 0, ANY, scope)
            case Var(name="data"):
                self._documents(ref, scope)
            case Var(name=name):
                if scope.get(name) is None:
                    scope.put(name, ANY)
                self._leads(ref, 0, scope.get(name), scope)
            case head:
                self._leads(ref, 0, self.type_of(head, scope), scope)

    def _documents(self, ref: RefTerm, scope: BodyScope) -> None:
        node = self._world.root
        for at, part in enumerate(ref.path):
            if node.rules:
                self._leads(ref, at, self._world.document(node), scope)
                return
            if not isinstance(part, Scalar):
                self._key(ref, at, self._world.document(node), scope)
                for inner in ref.path[at + 1 :]:
                    self.bind_all(inner, scope)
                return
            child = node.children.get(part.value) if isinstance(part.value, str) else None
            if child is None:
                for inner in ref.path[at + 1 :]:
                    self.bind_all(inner, scope)
                return
            node = child

    def _leads(self, ref: RefTerm, first: int, type_: MaybeType, scope: BodyScope) -> None:
        """Below `first` parts of the path the type is that one."""
        for at in range(first, len(ref.path)):
            if type_ is None:
                return
            part = ref.path[at]
            if keys(type_) is None:
                raise _unsupported(ref, at, type_)
            if isinstance(part, Scalar):
                expected = known_keys(type_)
                below = selected(type_, part.value)
                if below is None and part.value not in expected:
                    raise _invalid(ref, at, None, keys(type_), expected)
                type_ = below
            else:
                self._key(ref, at, type_, scope)
                type_ = values(type_)

    def _key(self, ref: RefTerm, at: int, type_: MaybeType, scope: BodyScope) -> None:
        """Something that isn't constant is asked for."""
        part, key_type = ref.path[at], keys(type_)
        match part:
            case ArrayTerm() | ObjectTerm() | SetTerm():
                if not self.fits(part, key_type, scope):
                    raise _invalid(ref, at, self.type_of(part, scope), key_type, [])
            case Var(name=name) if scope.get(name) is None:
                scope.put(name, key_type)
            case _:
                have = self.type_of(part, scope)
                if have is not None and not unifies(have, key_type):
                    raise _invalid(ref, at, have, key_type, known_keys(type_))


def nothing_in(domain: Term, type_: MaybeType) -> Problem:
    """The problem of `some x in` with what has no members."""
    path = (Var("_#", domain.at),)
    return _unsupported(RefTerm(domain, path, domain.at), 0, type_)


def _unsupported(ref: RefTerm, parts: int, have: MaybeType) -> Problem:
    whole = shown(ref)
    carets = "^" * len(shown(RefTerm(ref.head, ref.path[:parts], ref.at)))
    message = f"undefined ref: {whole}"
    if isinstance(have, FunctionType):
        message = f"function {whole} used as reference, not called"
    return Problem(TYPE, f"{message}\n\t{whole}\n\t{carets}\n\thave: {have}", ref.at)


def _invalid(
    ref: RefTerm, at: int, have: MaybeType, want: MaybeType, one_of: Sequence[Value]
) -> Problem:
    whole = shown(ref)
    pad = " " * (len(shown(RefTerm(ref.head, ref.path[:at], ref.at))) + 1)
    has = f"have: {shown(ref.path[at])}" if have is None else f"have (type): {have}"
    wants = f"want (type): {want}"
    if one_of:
        wants = f"want (one of): [{' '.join(map(text, one_of))}]"
    details = f"\n\t{whole}\n\t{pad}^\n\t{pad}{has}\n\t{pad}{wants}"
    return Problem(TYPE, f"undefined ref: {whole}{details}", ref.at)
