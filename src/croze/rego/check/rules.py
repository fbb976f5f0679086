"""Rules, each after those that it uses: bodies are checked, and what they make gets a type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from croze.rego.check.references import ReferenceCheck, nothing_in
from croze.rego.check.scope import BodyScope, CheckContext
from croze.rego.check.types import (
    ANY,
    ArrayType,
    FunctionType,
    MaybeType,
    ObjectType,
    SetType,
    bounded,
    keys,
    merged,
    shown,
    unifies,
    values,
)
from croze.rego.errors import TYPE, Location, Problem
from croze.rego.syntax import (
    Branch,
    Call,
    Comprehension,
    Every,
    Expr,
    Holds,
    Literal,
    RefTerm,
    Rule,
    SomeIn,
    Term,
    Unify,
    Var,
    With,
    present,
    subterms,
    terms_of,
)
from croze.rego.tree import RuleNode
from croze.rego.variables import variables


def type_problems(
    root: RuleNode, nodes: Iterable[RuleNode], lent: Mapping[str, FunctionType]
) -> list[Problem]:
    """What is wrong with the rules' types, by place. `nodes` are the places of rules, each after
    those that it uses."""
    world = CheckContext(root, lent)
    problems: list[Problem] = []
    for node in nodes:
        type: MaybeType = None
        failed = False
        for rule in node.rules:
            checker = _Checker(world)
            for branch in rule.branches:
                type = merged(type, checker.branch(rule, branch))
            failed = failed or bool(checker.problems)
            problems += checker.problems
        world.documents[node] = (None if failed else bounded(type)) or ANY
    return sorted(problems, key=lambda each: (each.at.file, each.at.row, each.at.col))


class _Checker(ReferenceCheck):
    """Checks one rule."""

    def __init__(self, world: CheckContext) -> None:
        super().__init__(world)
        self.problems: list[Problem] = []
        self._within_every = False

    def branch(self, rule: Rule, branch: Branch) -> MaybeType:
        scope = BodyScope()
        self._body(branch.body, scope)
        for term in present(branch.value, *rule.keys, rule.element):
            self._visit(term, scope)
        if rule.args is not None:
            return self._function(rule.args, branch, scope)
        last = branch.value if rule.element is None else rule.element
        type = self.type_of(last, scope)
        if rule.element is not None:
            type = None if type is None else SetType(type)
        for key in reversed(rule.keys):
            type_ = self.type_of(key, scope)
            type = None if None in (type_, type) else ObjectType((), (type_, type))
        return type

    def _function(self, args: Sequence[Term], branch: Branch, scope: BodyScope) -> FunctionType:
        for arg in args:
            for name in variables(arg):
                if scope.get(name) is None:
                    scope.put(name, ANY)
        types = tuple(self.type_of(arg, scope) for arg in args)
        return FunctionType(types, self.type_of(branch.value, scope))

    # -- bodies --

    def _body(self, body: Iterable[Expr], scope: BodyScope) -> None:
        for expr in body:
            for each in expr.withs:
                self._with(each, scope)
            self._literal(expr.literal, expr.at, scope)

    def _literal(self, literal: Literal, at: Location, scope: BodyScope) -> None:
        match literal:
            case Holds(Call(name="equal", args=(left, right))) | Unify(left, right):
                self._visit(left, scope)
                self._visit(right, scope)
                self._unify(left, right, at, scope)
            case Holds(Call() as call):
                self._call(call, scope, at)
            case SomeIn():
                self._some(literal, at, scope)
            case Every():
                self._visit(literal.domain, scope)
                with self._every():
                    self._body(literal.body, BodyScope(scope))
            case _:
                for term in terms_of(literal):
                    self._visit(term, scope)

    @contextmanager
    def _every(self) -> Iterator[None]:
        """OPA checks no calls and no equations there, but references."""
        before, self._within_every = self._within_every, True
        yield
        self._within_every = before

    def _unify(self, left: Term, right: Term, at: Location, scope: BodyScope) -> None:
        one, other = self.type_of(left, scope), self.type_of(right, scope)
        if not self.match(left, right, scope):
            self._mismatch(one, other, at)

    def _mismatch(self, one: MaybeType, other: MaybeType, at: Location) -> None:
        sides = f"\n\tleft  : {shown(one)}\n\tright : {shown(other)}"
        self._tell(Problem(TYPE, f"match error{sides}", at))

    def _some(self, some: SomeIn, at: Location, scope: BodyScope) -> None:
        self._visit(some.domain, scope)
        domain = self.type_of(some.domain, scope)
        if domain is None or isinstance(domain, FunctionType):
            domain = ANY
        key_type = keys(domain)
        if key_type is None:
            self.problems.append(nothing_in(some.domain, domain))
            key_type = domain = ANY
        for term, type_ in ((some.key, key_type), (some.value, values(domain))):
            if term is not None and not self.fits(term, type_, scope):
                self._mismatch(self.type_of(term, scope), type_, at)

    def _with(self, each: With, scope: BodyScope) -> None:
        self._visit(each.value, scope)
        if not each.function or not isinstance(each.target, Call):
            return
        name = each.target.name
        replaced, by = self._world.function(name), self._world.function(each.function)
        if replaced is not None and by is not None and not unifies(replaced, by):
            have = f"have: ({', '.join(map(shown, by.args))})"
            want = f"want: {replaced.wanted(result=False)}"
            message = f"{name}: arity mismatch\n\t{have}\n\t{want}"
            self._tell(Problem(TYPE, message, each.at))

    def _tell(self, problem: Problem) -> None:
        if not self._within_every:
            self.problems.append(problem)

    # -- terms --

    def _visit(self, term: Term, scope: BodyScope) -> None:
        """Check what a term is made of, and the term."""
        match term:
            case Call():
                self._known[id(term)] = self._call(term, scope)
            case Comprehension():
                self._known[id(term)] = self._comprehension(term, scope)
            case RefTerm(head, path):
                for inner in (*(() if isinstance(head, Var) else (head,)), *path):
                    self._visit(inner, scope)
                try:
                    self.check_ref(term, scope)
                except Problem as problem:
                    self.problems.append(problem)
            case _:
                for inner in subterms(term):
                    self._visit(inner, scope)

    def _comprehension(self, term: Comprehension, outer: BodyScope) -> MaybeType:
        scope = BodyScope(outer)
        before = len(self.problems)
        self._body(term.body, scope)
        for each in present(term.key, term.value):
            self._visit(each, scope)
        if len(self.problems) > before:
            return None
        value = self.type_of(term.value, scope)
        if term.key is not None:
            return ObjectType((), (self.type_of(term.key, scope), value))
        return SetType(value) if term.kind == "set" else ArrayType((), value)

    def _call(self, call: Call, scope: BodyScope, whole: Location | None = None) -> MaybeType:
        """What it gives. `whole` is where it is all of an expression."""
        for arg in call.args:
            self._visit(arg, scope)
        function = self._world.function(call.name)
        if function is None or self._within_every:
            return None
        for arg, type_ in zip(call.args, function.args, strict=False):
            if not self.fits(arg, type_, scope):
                have = [shown(self.type_of(each, scope)) for each in call.args]
                have += [] if whole is not None else ["???"]
                details = f"\n\thave: ({', '.join(have)})\n\twant: {function.wanted()}"
                message = f"{call.name}: invalid argument(s){details}"
                self._tell(Problem(TYPE, message, whole or call.at))
                return None
        return function.result
