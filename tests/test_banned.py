"""What ruff's banned-api can't see: methods that are banned by their names (see pyproject.toml)."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.syntax import nodes
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parent.parent
THREADS = ROOT / "src/croze/aio/threads.py"
BANNED = {
    "run_in_executor": "a thread that outlives its awaiter: use croze.aio.threads.in_thread",
    "to_thread": "a thread that outlives its awaiter: use croze.aio.threads.in_thread",
    "set_default_executor": "threads are croze.aio.threads' own",
}
STAMPS = ("ToSeconds", "ToNanoseconds", "ToMicroseconds", "ToJsonString", "ToDatetime")


CHANGED_ERRORS = {
    *("wrap", "with_detail", "with_details", "with_message", "with_traceback"),
    *("with_location", "set_location", "without_places", "fill_source"),
}
"""What makes an error of another one."""

MSGSPEC_ERRORS = ("MsgspecError", "msgspec.DecodeError", "msgspec.ValidationError")


def uses(path: Path) -> Iterator[str]:
    for node in nodes(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Attribute) and node.attr in BANNED:
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}: {BANNED[node.attr]}"


def test_threads_are_started_in_one_place() -> None:
    files = [p for top in ("src", "tests", "bench") for p in (ROOT / top).rglob("*.py")]
    wrong = [use for path in sorted(files) if path != THREADS for use in uses(path)]
    assert not wrong, "\n".join(wrong)
    assert list(uses(THREADS)), "the check sees nothing"


def test_no_time_that_a_peer_tells_raises_an_error() -> None:
    """protobuf's methods do, for those that no calendar has."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}: use croze.gotypes.moments"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in nodes(path.read_text(encoding="utf-8"))
        if isinstance(node, ast.Attribute) and node.attr in STAMPS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_key_has_the_terminal_asked_for_its_password() -> None:
    files = (ROOT / "src").rglob("*.py")
    users = [path for path in files if ".load_cert_chain(" in path.read_text(encoding="utf-8")]
    assert [str(path.relative_to(ROOT)) for path in users] == ["src/croze/http/keypairs.py"], (
        "use croze.http.keypairs.show"
    )


def test_whoever_expects_broken_json_expects_endless_nesting() -> None:
    """msgspec raises `RecursionError` for it, which is none of its own errors."""
    wrong, seen = [], 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in nodes(path.read_text(encoding="utf-8")):
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                names = ast.unparse(node.type)
                broken = any(name in names for name in MSGSPEC_ERRORS)
                seen += broken
                if broken and "RecursionError" not in names:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: except {names}")
    assert not wrong, "add RecursionError:\n" + "\n".join(wrong)
    assert seen, "the check sees nothing"


def forgotten(source: str) -> list[int]:
    """The lines on which a changed error is made for nobody."""
    calls = (
        node.value.func
        for node in nodes(source)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    return [
        func.lineno
        for func in calls
        if isinstance(func, ast.Attribute | ast.Name)
        and (func.attr if isinstance(func, ast.Attribute) else func.id) in CHANGED_ERRORS
    ]


def test_errors_do_not_change() -> None:
    """Who adds to an error makes a new one, and must raise that."""
    assert forgotten("try: f()\nexcept E as e:\n  e.wrap('x')\n  with_location(e)\n") == [3, 4]
    wrong = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (lines := forgotten(path.read_text(encoding="utf-8")))
    }
    assert not wrong


def trusting(source: str) -> list[int]:
    """The lines on which Python is started such that it looks for modules where it is started."""
    rows = (node.elts for node in nodes(source) if isinstance(node, ast.List | ast.Tuple))
    return [
        first.lineno
        for row in rows
        for first, second in itertools.pairwise(row)
        if ast.unparse(first) == "sys.executable"
        and isinstance(second, ast.Constant)
        and second.value not in ("-P", "-I")
    ]


def test_our_processes_load_no_modules_of_the_directory_they_start_in() -> None:
    """It is the user's project: somebody else's files."""
    assert trusting("[sys.executable, '-m', 'x']\n(sys.executable, '-P', '-m')") == [1]
    wrong = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (lines := trusting(path.read_text(encoding="utf-8")))
    }
    assert not wrong, "add -P"


def _is_a_test(module: str) -> bool:
    return module.startswith("tests.") and ".test_" in module


def test_tests_import_nothing_from_tests() -> None:
    """What several need is in a module that is no test, of the same folder or `tests/support`."""
    lenders: set[str] = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in nodes(path.read_text(encoding="utf-8")):
            if isinstance(node, ast.ImportFrom) and _is_a_test(node.module or ""):
                lenders.add(node.module or "")
    assert not lenders


LONG_S = 60


def hasty(source: str) -> list[int]:
    """The lines on which something is given a time that a busy machine may not have, and no comment
    says what for."""
    lines = source.splitlines()
    found = []
    for node in nodes(source):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            times = [each.value for each in node.keywords if each.arg == "timeout"]
            times += node.args[:1] if name in ("wait", "join", "settimeout", "timeout") else []
            short = any(
                isinstance(each, ast.Constant)
                and isinstance(each.value, int | float)
                and each.value < LONG_S
                for each in times
            )
            if short:
                found.append(node.lineno)
        if isinstance(node, ast.Import) and any(each.name == "time" for each in node.names):
            found.append(node.lineno)
    return [line for line in sorted(found) if "#" not in lines[line - 1]]


def test_nothing_in_the_whole_is_asked_to_be_quick() -> None:
    """What is to come is waited for by `tests.support.waiting`; how much work it takes is counted:
    on a machine that is busy with something else the rest is a throw of dice."""
    seen = "import time\np.wait(timeout=20)\nq.join(3)\np.wait(PATIENCE_S)\ns.settimeout(5)  # ok\n"
    assert hasty(seen) == [1, 2, 3]
    waiting = ROOT / "tests/support/waiting.py"
    files = [path for top in ("e2e", "support") for path in (ROOT / "tests" / top).rglob("*.py")]
    wrong = {
        str(path.relative_to(ROOT)): lines
        for path in sorted(files)
        if path != waiting and (lines := hasty(path.read_text(encoding="utf-8")))
    }
    assert not wrong, "use tests.support.waiting"


def open_listings(source: str) -> Iterator[int]:
    """Lines on which a directory is listed and stays open if that ends before its end."""
    held = {
        id(value)
        for node in nodes(source)
        for value in (
            [item.context_expr for item in node.items]
            if isinstance(node, ast.With)
            else [node.value]
            if isinstance(node, ast.Assign)
            else []
        )
    }
    for node in nodes(source):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func) == "os.scandir"
            and id(node) not in held
        ):
            yield node.lineno


def test_directories_are_closed() -> None:
    """A generator that nobody reads to its end, or an error on the way, keeps them open."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: with os.scandir(…) as entries"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for line in open_listings(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)
    assert list(open_listings("for entry in os.scandir(path):\n    pass"))
    assert not list(open_listings("with os.scandir(path) as entries:\n    pass"))


NEEDS_DATACLASS = ("repr", "compare", "init", "hash")
"""What a field may be that `msgspec.Struct` has no word for."""


def costly_values(source: str) -> Iterator[str]:
    """Names of the dataclasses that could be Structs."""
    for node in nodes(source):
        if isinstance(node, ast.ClassDef) and any(
            "dataclass" in ast.unparse(each) for each in node.decorator_list
        ):
            options = {
                keyword.arg
                for statement in node.body
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Call)
                for keyword in statement.value.keywords
            }
            if not options.intersection(NEEDS_DATACLASS):
                yield node.name


def test_structs_are_not_handled_as_dataclasses() -> None:
    """mypy lets it pass, and it fails: `dataclasses.field` in a Struct, `dataclasses.replace` of
    one. So these names are msgspec's, and dataclasses' are written with the module."""
    wrong = [
        f"{path.relative_to(ROOT)}: import dataclasses, or take {names} from msgspec"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in nodes(path.read_text(encoding="utf-8"))
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
        for names in [", ".join(each.name for each in node.names)]
    ]
    assert not wrong, "\n".join(wrong)


def test_values_are_structs() -> None:
    """A dataclass takes 40 times as long to make as a `msgspec.Struct`, and there are hundreds:
    they were a third of the daemon's start. What it has over a Struct are fields that are not
    shown or compared."""
    wrong = [
        f"{path.relative_to(ROOT)}: {name}: make it a msgspec.Struct"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for name in costly_values(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)
    assert list(costly_values("@dataclass(frozen=True)\nclass A:\n    b: int = field(default=0)"))
    assert not list(costly_values("@dataclass\nclass A:\n    b: str = field(repr=False)"))


def bodies(source: str) -> list[int]:
    """The lines on which the body of an HTTP answer is read, however large it is."""
    return sorted(
        node.lineno
        for node in nodes(source)
        if isinstance(node, ast.Call)
        and not node.args
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("read", "text", "json")
        and isinstance(node.func.value, ast.Name | ast.Call)
        and ast.unparse(node.func.value).endswith(("answer", "response", ".getresponse()"))
    )


def test_answers_are_read_within_bounds() -> None:
    """Servers are anybody's: see `http.daemon.read_all`."""
    seen = "await response.read()\nanswer.json()\nx = c.getresponse().read()\nanswer.read(9)"
    assert bodies(f"async def f():\n  {seen.replace(chr(10), chr(10) + '  ')}\n") == [2, 3, 4]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for line in bodies(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def taking_in(source: str) -> list[int]:
    """The lines on which a group of tasks takes in what the user of a context manager raises."""
    return [
        inner.lineno
        for node in nodes(source)
        if isinstance(node, ast.AsyncWith)
        and any("asyncio.TaskGroup()" in ast.unparse(each) for each in node.items)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Yield)
    ]


def test_context_managers_let_out_what_is_raised_within() -> None:
    """And not a group of it, of which nobody who waits for an error of some kind knows."""
    seen = "async def f():\n  async with a(), asyncio.TaskGroup() as group:\n    yield group\n"
    assert taking_in(seen) == [3]
    home = ROOT / "src/croze/aio/parallel.py"
    wrong = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "src").rglob("*.py"))
        if path != home and (lines := taking_in(path.read_text(encoding="utf-8")))
    }
    assert not wrong, "use aio.parallel.meanwhile or task_group"


def impatient(source: str) -> list[int]:
    """The lines on which a task waits for something for some seconds."""
    return sorted(
        node.lineno
        for node in nodes(source)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("asyncio.timeout", "asyncio.wait_for")
        and isinstance(node.args[-1], ast.Constant)
        and isinstance(node.args[-1].value, int | float)
        and 1 <= node.args[-1].value < PATIENCE_S
    )


def test_what_is_to_come_is_waited_for() -> None:
    """In any test, however busy the machine is with disks and other processes."""
    seen = "asyncio.timeout(5)\nasyncio.timeout(0)\nasyncio.wait_for(x, 9.5)\nasyncio.timeout(S)"
    assert impatient(seen) == [1, 3]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: use tests.support.waiting.PATIENCE_S"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in impatient(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


OF_THE_SYSTEM = {"OSError", "ConnectionError", "FileNotFoundError", "PermissionError"}


def printed_as_they_are(handler: ast.ExceptHandler) -> Iterator[int]:
    """Lines in which a handler puts its error into a text as it is."""
    asked = [n for n in ast.walk(handler) if isinstance(n, ast.BoolOp | ast.IfExp)]
    told = [n for n in asked if "strerror" in ast.unparse(n) or "isinstance" in ast.unparse(n)]
    allowed = {id(inner) for node in told for inner in ast.walk(node)}
    for node in ast.walk(handler):
        match node:
            case ast.FormattedValue(value=ast.Name(id=name)) if name == handler.name:
                yield node.lineno
            case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id=name)]):
                if name == handler.name and id(node) not in allowed:
                    yield node.lineno


def test_errors_of_the_system_are_not_told_as_python_prints_them() -> None:
    """That is with a number, which no other tool shows: `[Errno 5] Input/output error`."""
    wrong, seen = [], 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in nodes(path.read_text(encoding="utf-8")):
            if not isinstance(node, ast.ExceptHandler) or node.type is None or node.name is None:
                continue
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            if caught & OF_THE_SYSTEM:
                seen += 1
                wrong += [f"{path.relative_to(ROOT)}:{n}" for n in printed_as_they_are(node)]
    assert not wrong, "use croze.errors.os_message, or as_own:\n" + "\n".join(wrong)
    assert seen, "the check sees nothing"
    (handler,) = (
        node
        for node in ast.walk(ast.parse("try: f()\nexcept OSError as e: g(f'{e}', str(e))"))
        if isinstance(node, ast.ExceptHandler)
    )
    assert len(list(printed_as_they_are(handler))) == 2, "the check sees nothing"


def test_every_folder_of_tests_is_collected(pytestconfig: pytest.Config) -> None:
    """Pytest passes over some names unless it is told otherwise, `build` for one."""
    passed_over = pytestconfig.getini("norecursedirs")
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert "build" in folders
    assert [name for name in folders for each in passed_over if fnmatch(name, each)] == []
