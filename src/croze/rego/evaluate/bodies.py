"""The solutions of bodies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from croze.rego.evaluate.environment import Environment
from croze.rego.evaluate.terms import Terms, children
from croze.rego.syntax import Every, Expr, Holds, Literal, SomeIn, SomeVars, Term, Unify, With
from croze.rego.unknowns import Found, Partial, Unknown
from croze.rego.values import FALSE, Object


class Bodies(Terms):
    @abstractmethod
    def _within(self, withs: Sequence[With], values: Sequence[Found]) -> object:
        """The state in which something stands for something else."""

    @abstractmethod
    def _swap(self, state: object) -> object:
        """Take a state, and give up the one there was."""

    def _solutions(self, body: Sequence[Expr], env: Environment) -> Iterator[None]:
        if not body:
            yield
            return
        for _ in self._expr(body[0], env):
            yield from self._solutions(body[1:], env)

    def _expr(self, expr: Expr, env: Environment) -> Iterator[None]:
        if not expr.withs:
            yield from self._signed(expr, env)
            return
        for values in self._product([each.value for each in expr.withs], env):
            yield from self._replaced(expr, values, env)

    def _replaced(self, expr: Expr, values: Sequence[Found], env: Environment) -> Iterator[None]:
        """The solutions with values replaced; those who go through them see the old state in
        between."""
        inner = self._within(expr.withs, values)
        solutions = self._signed(expr, env)
        while True:
            outer = self._swap(inner)
            try:
                next(solutions)
            except StopIteration:
                return
            finally:
                self._swap(outer)
            yield

    def _signed(self, expr: Expr, env: Environment) -> Iterator[None]:
        if not expr.negated:
            yield from self._literal(expr.literal, env)
            return
        refs: set[str] = set()
        mark = len(env.assumed)
        for _ in self._literal(expr.literal, env):
            assumed = env.since(mark)
            if not assumed:
                return
            refs |= assumed
        yield from self._assuming(refs, env)

    def _assuming(self, refs: set[str], env: Environment) -> Iterator[None]:
        if not refs:
            yield
            return
        with env.assuming(Unknown(frozenset(refs))):
            yield

    def _literal(self, literal: Literal, env: Environment) -> Iterator[None]:
        match literal:
            case Holds():
                yield from self._holds(literal.term, env)
            case Unify():
                for value in self._values(literal.right, env):
                    yield from self._unified(literal.left, value, env)
            case SomeIn():
                yield from self._some(literal, env)
            case Every():
                for domain in self._values(literal.domain, env):
                    yield from self._every(literal, domain, env)
            case SomeVars():
                yield

    def _holds(self, term: Term, env: Environment) -> Iterator[None]:
        for value in self._values(term, env):
            if isinstance(value, Unknown):
                with env.assuming(value):
                    yield
            elif value is not FALSE:
                yield

    def _unified(self, pattern: Term, value: Found, env: Environment) -> Iterator[None]:
        """A value that is not known is one that may not be there."""
        if isinstance(value, Unknown):
            with env.assuming(value):
                yield from self._match(pattern, value, env)
        else:
            yield from self._match(pattern, value, env)

    def _some(self, literal: SomeIn, env: Environment) -> Iterator[None]:
        for domain in self._values(literal.domain, env):
            refs = set(domain.refs) if isinstance(domain, Unknown) else set()
            for _ in self._assuming(refs, env):
                for key, value in children(domain):
                    yield from self._match_pair(literal, key, value, env)

    def _match_pair(
        self, literal: SomeIn, key: Found, value: Found, env: Environment
    ) -> Iterator[None]:
        patterns = [literal.value] if literal.key is None else [literal.key, literal.value]
        values = [value] if literal.key is None else [key, value]
        yield from self._match_all(patterns, values, env)

    def _every(self, literal: Every, domain: Found, env: Environment) -> Iterator[None]:
        if not isinstance(domain, Unknown | Partial | tuple | Object | frozenset):
            return
        refs: set[str] = set(domain.refs) if isinstance(domain, Unknown) else set()
        for key, value in children(domain):
            needed = self._holds_for(literal, key, value, env)
            if needed is None:
                if isinstance(domain, Unknown):
                    continue
                return
            refs |= needed
        yield from self._assuming(refs, env)

    def _holds_for(
        self, literal: Every, key: Found, value: Found, env: Environment
    ) -> frozenset[str] | None:
        """What the body needs to be so for it to hold; None if it doesn't hold."""
        patterns = [literal.value] if literal.key is None else [literal.key, literal.value]
        values = [value] if literal.key is None else [key, value]
        mark = len(env.assumed)
        refs: frozenset[str] | None = None
        for _ in self._match_all(patterns, values, env):
            for _ in self._solutions(literal.body, env):
                assumed = env.since(mark)
                if not assumed:
                    return assumed
                refs = assumed | (refs or frozenset())
        return refs
