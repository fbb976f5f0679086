"""Terms beside types: what variables must be for a term to have a type."""

from __future__ import annotations

from croze.rego.check.scope import BodyScope, CheckContext
from croze.rego.check.types import (
    ANY,
    STRING,
    AnyType,
    ArrayType,
    MaybeType,
    ObjectType,
    SetType,
    bounded,
    either,
    is_open,
    object_type,
    selected,
    type_of,
    unifies,
    union,
    values,
)
from croze.rego.syntax import (
    ArrayTerm,
    Call,
    Comprehension,
    ObjectTerm,
    RefTerm,
    Scalar,
    SetTerm,
    TemplateString,
    Term,
    Var,
)
from croze.rego.values import Value


class Matching:
    """Types of terms. Those of calls and comprehensions are put down when they are checked."""

    def __init__(self, world: CheckContext) -> None:
        self._world = world
        self._known: dict[int, MaybeType] = {}

    def type_of(self, term: Term, scope: BodyScope) -> MaybeType:
        """A term's type; None if it isn't known."""
        return bounded(self._type_of(term, scope))

    def _type_of(self, term: Term, scope: BodyScope) -> MaybeType:
        match term:
            case Scalar(value):
                return type_of(value)
            case Var(name):
                return scope.get(name)
            case RefTerm():
                return self._ref(term, scope)
            case ArrayTerm(items):
                static = tuple(self.type_of(item, scope) for item in items)
                return ArrayType(static, None if static else ANY)
            case SetTerm(items):
                return SetType(union(self.type_of(item, scope) for item in items) or ANY)
            case ObjectTerm(items):
                return self._object(items, scope)
            case TemplateString():
                return STRING
        return self._known.get(id(term))

    def _object(self, items: tuple[tuple[Term, Term], ...], scope: BodyScope) -> ObjectType:
        static: dict[Value, MaybeType] = {}
        dynamic: tuple[MaybeType, MaybeType] | None = None
        for key, value in items:
            type_ = self.type_of(value, scope)
            if isinstance(key, Scalar):
                static[key.value] = type_
            else:
                others = dynamic or (None, None)
                dynamic = (either(others[0], self.type_of(key, scope)), either(others[1], type_))
        return object_type(static.items(), dynamic if items else (ANY, ANY))

    def _ref(self, ref: RefTerm, scope: BodyScope) -> MaybeType:
        if not isinstance(ref.head, Var) or ref.head.name not in ("input", "data"):
            return self._below(self.type_of(ref.head, scope), ref.path)
        if ref.head.name == "input":
            return ANY
        node = self._world.root
        for at, part in enumerate(ref.path):
            if node.rules or not isinstance(part, Scalar):
                return self._below(self._world.document(node), ref.path[at:])
            child = node.children.get(part.value) if isinstance(part.value, str) else None
            if child is None:
                return ANY
            node = child
        return self._world.document(node)

    def _below(self, type_: MaybeType, path: tuple[Term, ...]) -> MaybeType:
        for part in path:
            type_ = selected(type_, part.value) if isinstance(part, Scalar) else values(type_)
        return type_

    # -- a term and a type --

    def fits(self, term: Term, type_: MaybeType, scope: BodyScope, *, also: bool = False) -> bool:
        """Whether the term may have the type; its variables have it then. `also`: they may have
        other types, too."""
        match term:
            case ArrayTerm() | ObjectTerm() | SetTerm():
                return self._composite_fits(term, type_, scope, also=also)
            case Var(name):
                bound_type = scope.get(name)
                if also or bound_type is None:
                    scope.put(name, either(bound_type, type_))
                    return True
                return unifies(bound_type, type_)
            case RefTerm() | Call() | Comprehension():
                type = self.type_of(term, scope)
                return type is None or unifies(type, type_)
        return unifies(self.type_of(term, scope), type_)

    def _composite_fits(
        self,
        term: ArrayTerm | ObjectTerm | SetTerm,
        type_: MaybeType,
        scope: BodyScope,
        *,
        also: bool,
    ) -> bool:
        match term, type_:
            case _, AnyType(()):
                self.bind_all(term, scope)
                return True
            case _, AnyType(types):
                fitting = [each for each in types if self.fits(term, each, scope, also=True)]
                return bool(fitting)
            case ArrayTerm(items), ArrayType():
                if len(items) != len(type_.static) and type_.dynamic is None:
                    return False
                pairs = [(item, type_.item(at)) for at, item in enumerate(items)]
                return all(self.fits(item, each, scope, also=also) for item, each in pairs)
            case SetTerm(items), SetType(of):
                return all(self.fits(item, of, scope, also=also) for item in items)
            case ObjectTerm(), ObjectType():
                return self._object_fits(term, type_, scope, also=also)
        return False

    def _object_fits(
        self, term: ObjectTerm, type_: ObjectType, scope: BodyScope, *, also: bool
    ) -> bool:
        if len(term.items) != len(type_.static) and type_.dynamic is None:
            return False
        for key, value in term.items:
            expected: MaybeType = ANY
            if isinstance(key, Scalar):
                expected = type_.field(key.value)
                if expected is None:
                    return False
            if not self.fits(value, expected, scope, also=also):
                return False
        return True

    def bind_all(self, term: Term, scope: BodyScope) -> None:
        """Give all variables in a term a type that isn't known."""
        match term:
            case Var(name):
                scope.put(name, ANY)
            case ArrayTerm(items) | SetTerm(items):
                for item in items:
                    self.bind_all(item, scope)
            case ObjectTerm(pairs):
                for key, value in pairs:
                    self.bind_all(key, scope)
                    self.bind_all(value, scope)

    # -- two terms --

    def match(self, left: Term, right: Term, scope: BodyScope) -> bool:
        """Whether two terms may be equal; their variables have the types that follow."""
        one, other = self.type_of(left, scope), self.type_of(right, scope)
        match is_open(one), is_open(other):
            case True, False:
                return self.fits(left, other, scope)
            case False, True:
                return self.fits(right, one, scope)
            case False, False:
                return unifies(one, other)
        return self._both_open(left, right, scope)

    def _both_open(self, left: Term, right: Term, scope: BodyScope) -> bool:
        match left, right:
            case ArrayTerm(), ArrayTerm():
                same = len(left.items) == len(right.items)
                pairs = zip(left.items, right.items, strict=False)
                return same and all(self.match(one, other, scope) for one, other in pairs)
            case ObjectTerm(), ObjectTerm():
                return self._objects_match(left, right, scope)
        for term in (left, right):
            self.bind_all(term, scope)
        return True

    def _objects_match(self, left: ObjectTerm, right: ObjectTerm, scope: BodyScope) -> bool:
        other = {key.value: value for key, value in right.items if isinstance(key, Scalar)}
        for key, value in left.items:
            if isinstance(key, Scalar):
                if key.value not in other and len(other) == len(right.items):
                    return False
                if key.value in other and not self.match(value, other[key.value], scope):
                    return False
        self.bind_all(left, scope)
        self.bind_all(right, scope)
        return True
