"""The modules of a policy: its files, the helpers, and what they import from beside them."""

from __future__ import annotations

from collections.abc import Iterable

from croze.errors import CrozeError, NotFound
from croze.policy.builtins import Answers, NotKnown
from croze.policy.contract import PolicyFile, ReadFile
from croze.policy.library import HELPERS_NAME, helpers
from croze.rego.compile.compiler import with_imports
from croze.rego.errors import RegoError
from croze.rego.parse.module import parse_module
from croze.rego.syntax import Module

MOST_BYTES = 4 << 20


def modules_of(
    files: Iterable[PolicyFile], answers: Answers, *, packages_known: bool = False
) -> list[Module]:
    """A policy's files as modules, with those that they import: `import data.a.b` is `a/b.rego`.
    Raises `NotKnown` for a file that was not read yet, and `RegoError`. With `packages_known`, an
    import of a package that one of the files has is that package."""
    own = [parse_module(HELPERS_NAME, helpers())]
    own += [parse_module(each.name, each.text) for each in files]
    packages = {module.package for module in own} if packages_known else set()

    def load(path: tuple[str, ...], wanted_by: Module) -> Module | None:
        if path in packages:
            return None
        return _imported(path, wanted_by, answers)

    return with_imports(own, load)


def _imported(path: tuple[str, ...], wanted_by: Module, answers: Answers) -> Module:
    name = "/".join(path) + ".rego"
    question = ReadFile(name, MOST_BYTES)
    if question not in answers:
        raise NotKnown(question)
    answer = answers[question]
    if isinstance(answer, CrozeError):
        raise _refused(answer, name, path, wanted_by)
    assert isinstance(answer, bytes)
    try:
        module = parse_module(name, answer.decode(errors="replace"))
    except RegoError as error:
        what = f"failed to parse imported policy file {name} for module {wanted_by.file}"
        raise RegoError(f"rego_compile_error: {what}: {error}") from None
    module.package = path  # whatever it calls itself
    return module


def _refused(error: CrozeError, name: str, path: tuple[str, ...], wanted_by: Module) -> RegoError:
    what = f"failed to read imported policy file {name} for module {wanted_by.file}"
    if isinstance(error, NotFound):
        what = f"import {'.'.join(('data', *path))} not found for module {wanted_by.file}"
    return RegoError(f"rego_compile_error: {what}: {error}")
