"""Names that tell a reader what they stand for: classes that are told apart by theirs, and locals
that are nouns of what they hold."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.syntax import nodes, parse

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "croze"

SHARED = {
    "Result": "of an op (BuildKit's word, in half of the engine); `croze.Result` of a build, and "
    "`guest.Result` of a frontend, as programs see them",
    "Edge": "output `index` of a vertex: of `croze.llb`, which anybody may import, and of a solve",
}
"""Names that may be used twice, and why."""


_CLASS = re.compile(r"^class ([A-Za-z_]\w*)", re.MULTILINE)


def homes(texts: dict[str, str]) -> dict[str, list[str]]:
    """The modules that define each class."""
    found: dict[str, list[str]] = defaultdict(list)
    for module, text in sorted(texts.items()):
        for name in _CLASS.findall(text):
            found[name].append(module)
    return found


def shared_names(texts: dict[str, str]) -> dict[str, list[str]]:
    """Names of several classes between which a reader would have to guess. A public class may turn
    up anywhere, so its name is its own in all of croze. A private one is met in its own file alone;
    but whoever reads a package has its files side by side, so no other class of the package has its
    name either."""
    return {
        name: modules
        for name, modules in homes(texts).items()
        if len(modules) > 1
        and (not name.startswith("_") or len({*map(package, modules)}) < len(modules))
    }


def package(module: str) -> str:
    return module.split(".")[1]


def test_classes_are_told_apart() -> None:
    texts = {
        ".".join(("croze", *path.relative_to(SRC).with_suffix("").parts)): path.read_text("utf-8")
        for path in files("src")
    }
    shared = shared_names(texts)
    assert not {name: where for name, where in shared.items() if name not in SHARED}
    assert shared.keys() == SHARED.keys(), "an exception that is none any more"


def test_what_is_shared_is_seen() -> None:
    texts = {
        "croze.a.one": "class Public:\nclass _Near:\nclass _Far:",
        "croze.a.two": "class _Near:",
        "croze.b.one": "class Public:\nclass Single:\nclass _Far:",
    }
    assert shared_names(texts).keys() == {"Public", "_Near"}


VAGUE = {"known", "given", "taken", "kept", "left", "done"}
"""What these hold nobody sees by their names: a count, a list, a file, an answer?"""

VAGUE_IN_SOURCES = VAGUE | {"found", "wanted", "made", "asked", "told", "said"}
"""In a test there is mostly one thing that was made, and one that was found or said."""


def bound(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Locals and parameters, and the lines on which they get their names."""
    for each in ast.walk(node):
        match each:
            case ast.Name(id=name, ctx=ast.Store(), lineno=line) | ast.arg(arg=name, lineno=line):
                yield line, name
            case ast.MatchAs(name=str(name), lineno=line):
                yield line, name


def allowed(function: ast.AST) -> set[str]:
    """Words that are the usual ones where they stand: `left` of something that has a right or a
    width, and what `asyncio.wait` or a process that was run leaves one with."""
    names = {name for _, name in bound(function)}
    names |= {each.attr for each in ast.walk(function) if isinstance(each, ast.Attribute)}
    words = {"left"} if not names.isdisjoint({"right", "width"}) else set()
    text = ast.unparse(function)
    return words | ({"done"} if "asyncio.wait(" in text else set())


def vague(source: str, words: set[str]) -> Iterator[str]:
    """Lines and names of a module's functions that say too little."""
    tree = parse(source)
    outer = [
        each
        for parent in ast.walk(tree)
        if isinstance(parent, ast.Module | ast.ClassDef)
        for each in parent.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for function in outer:
        suspects = [(line, name) for line, name in bound(function) if name in words]
        usual = allowed(function) if suspects else set()
        for line, name in suspects:
            if name not in usual:
                yield f"{line}: {name}"


def files(top: str) -> list[Path]:
    every = sorted((ROOT / top).rglob("*.py"))
    return [path for path in every if not path.stem.endswith(("_pb2", "_pb2_grpc"))]


@pytest.mark.parametrize(
    ("tops", "words"),
    [
        (("src",), VAGUE_IN_SOURCES),
        # Helpers that run a command give one back what it has done.
        (("tests", "bench", "scripts"), VAGUE - {"done"}),
    ],
)
def test_locals_are_nouns(tops: tuple[str, ...], words: set[str]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{each}"
        for top in tops
        for path in files(top)
        for each in vague(path.read_text("utf-8"), words)
    ]
    assert not wrong, "name what they hold:\n" + "\n".join(wrong)


def test_vague_names_are_seen() -> None:
    source = """
class C:
    def f(self, given):
        known = [left for left in given]
        def g(taken): return known
def h(left, right): ...
async def i():
    done, pending = await asyncio.wait(tasks)
def j():
    for done in x: ...
"""
    assert sorted(vague(source, VAGUE)) == [
        *("10: done", "3: given", "4: known", "4: left", "5: taken")
    ]


def docstrings(source: str) -> Iterator[tuple[int, str, ast.AST | None]]:
    """Texts of modules, classes and functions, and those below names; and the class or function
    that it is of, if it is of one."""
    for node in nodes(source):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for place, statement in enumerate(node.body):
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(text)), lineno=line):
                        is_own = place == 0 and not isinstance(node, ast.Module)
                        yield line, text, node if is_own else None


def is_second(text: str, definition: ast.AST) -> bool:
    """Whether it begins with what may come second, one of its own fields or parameters, too; but
    `__init__` has these alone to speak of."""
    if _SECOND.match(text) or _FRAGMENT.match(text):
        return True
    field = re.match(r"`(\w+)`(:| is | are | None)", text)
    if field is None or getattr(definition, "name", "").startswith("__"):
        return False
    return any(
        field[1] in (getattr(node, "arg", None), getattr(getattr(node, "target", None), "id", None))
        for node in ast.walk(definition)
    )


_RIDDLE = re.compile(r"(Of|Those|All of (it|them))\b")

_FRAGMENT = re.compile(
    r"(With|Without|As(?! (many|much))|By|In|For|From|To|So|None|Also|Inside|There|Nothing happens|"
    r"Now|Not)\b"
)
"""How half a sentence begins: `With one more.` of what?"""

_SECOND = re.compile(r"(Raises|The same|Idempotent|Until|Its?|Both)\b")
"""What may come second: first comes what a thing is, or does. `Raises X.` says nothing of what is
there when nothing is raised, and `The same.` nothing to whoever has not read what stands above."""


def test_docstrings_name_what_they_are_about() -> None:
    """`Of one container.`: what of it? Whoever meets the name elsewhere sees the text alone."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in files("src")
        for line, text, definition in docstrings(path.read_text("utf-8"))
        if _RIDDLE.match(text) or (definition is not None and is_second(text, definition))
    ]
    assert not wrong, "begin with the thing itself:\n" + "\n".join(wrong)


def test_what_may_come_second_is_seen() -> None:
    texts = [
        *("Raises E.", "`y`: a number.", "`y` is a number.", "With one more."),
        *("`z`: in quotes.", "A sum of `y`."),
    ]
    source = "".join(
        f'def _f(y):\n    """{text}"""\n    x = 1\n    """Its x."""\n' for text in texts
    )
    found = [each for each in docstrings(f'X = 1\n"""Of x."""\n{source}') if each[2] is not None]
    assert [text for _, text, of in found if of is not None and is_second(text, of)] == texts[:4]
    assert (2, "Of x.", None) in docstrings(f'X = 1\n"""Of x."""\n{source}')


_DOTTED = re.compile(r"`((?:[a-z_]\w*\.)+)([A-Z]+[a-z]\w*)(?:\.\w+)?(?:\(\))?`")

OF_OTHERS = {"shell.Lex", "strings.TrimSpace"}
"""Names of Go's, in packages that are called as modules here are."""


def bound_names(source: str) -> set[str]:
    """What a module defines, imports or takes from elsewhere."""
    names: set[str] = set()
    for node in nodes(source):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.Name(id=name):
                names.add(name)
            case ast.alias(name=name, asname=alias):
                names.add(alias or name)
    return names


def lost_names(texts: dict[str, str], path_of: dict[str, Path]) -> Iterator[str]:
    """Classes that some text has as `module.Class`, and that module has not."""
    packages = {path.parent.name for path in path_of.values()}
    endings: dict[str, list[str]] = defaultdict(list)
    for module in path_of:
        words = module.split(".")
        for place in range(len(words)):
            if words[-1] not in packages:  # which may have it from anywhere
                endings[".".join(words[place:])].append(module)
    for name, text in sorted(texts.items()):
        for found in _DOTTED.finditer(text):
            modules = endings.get(found[1].rstrip("."), [])
            if not modules or found[1] + found[2] in OF_OTHERS:
                continue
            if all(found[2] not in bound_names(path_of[m].read_text("utf-8")) for m in modules):
                yield f"{name}: {found[0]}"


def test_classes_are_called_by_their_names() -> None:
    """In docstrings and pages, too, after a class has got another name."""
    path_of = {
        ".".join(path.relative_to(SRC.parent).with_suffix("").parts): path for path in files("src")
    }
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    texts = {
        str(path.relative_to(ROOT)): path.read_text("utf-8") for path in [*files("src"), *pages]
    }
    assert not list(lost_names(texts, path_of))
    stale = {"a": "`stores.Own`, `fs.tree.stores.Gone` and `strings.TrimSpace`, `nobody.Knows`"}
    assert list(lost_names(stale, {"croze.fs.tree.stores": SRC / "store/core.py"})) == [
        "a: `stores.Own`",
        "a: `fs.tree.stores.Gone`",
    ]
