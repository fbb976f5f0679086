"""The reference pages: what the commands and the library say of themselves.

python scripts/reference.py           writes docs/reference/
python scripts/reference.py --check   fails if it would change something
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER, SRC = ROOT / "docs" / "reference", ROOT / "src"
MADE = "<!-- Made by `make reference`; what is to change is said in the code. -->\n"


def cli() -> str:
    """Every command with its flags, as `--help` prints it."""
    from croze.cli.commands import ALIASES, COMMANDS, load
    from croze.cli.complete import flags_of
    from croze.cli.main import help_text

    parts = ["# Commands\n", MADE, _block(help_text())]
    others: dict[str, list[str]] = {}
    for other, name in ALIASES.items():
        others.setdefault(name, []).append(other)
    for name, (_, about) in COMMANDS.items():
        parts.append(f"## croze {name}\n")
        if name in others:
            parts.append(
                f"Also: {', '.join(f'`croze {each}`' for each in sorted(others[name]))}.\n"
            )
        inner: dict[str, object] | None = getattr(load(name), "COMMANDS", None)
        if inner:
            parts.append(f"{about}.\n")
        for path in [(name, each) for each in sorted(inner)] if inner else [(name,)]:
            flags = flags_of(path)
            assert flags is not None
            heading = f"### croze {' '.join(path)}\n"
            parts += [heading] if inner else []
            parts.append(_block(flags.format_help()))
    return "\n".join(parts)


def api() -> str:
    """Every name that `import croze` gives, from the source: what it says, and how it is called."""
    import croze

    parts = ["# The library\n", MADE, "How it is used is in [python.md](../python.md).\n"]
    for name in croze.__all__:
        source = (SRC / f"{croze._LAZY[name].replace('.', '/')}.py").read_text(encoding="utf-8")
        parts.append(f"## croze.{name}\n")
        for node, after in itertools.pairwise([*ast.parse(source).body, ast.Pass()]):
            if name in _names(node):
                parts += _described(node, source)
                if isinstance(node, ast.Assign | ast.AnnAssign):
                    parts += [f"{text}\n" for text in _text(after)]
    return "\n".join(parts)


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [each.id for each in targets if isinstance(each, ast.Name)]


def _text(statement: ast.stmt) -> list[str]:
    """What stands below an assignment, if anything does."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return [inspect.cleandoc(text)]
    return []


def _described(node: ast.stmt, source: str) -> Iterator[str]:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield _block(ast.get_source_segment(source, node) or "", "python")
        return
    yield _block(_head(node, source), "python")
    if said := ast.get_docstring(node):
        yield f"{said}\n"
    if not isinstance(node, ast.ClassDef):
        return
    fields = list(_fields(node))
    if fields:
        yield "\n".join(fields) + "\n"
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name[0] != "_":
            yield f"### {node.name}.{inner.name}\n"
            yield from _described(inner, source)


def _head(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> str:
    """As it is written, from the decorators to the colon."""
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    lines = source.splitlines()[first - 1 : node.body[0].lineno]
    if node.body[0].lineno > node.lineno:
        lines.pop()
    return textwrap.dedent("\n".join(lines)).removesuffix(" ...").rstrip().removesuffix(":")


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """A line for each, with what stands below it."""
    body = [*node.body, ast.Pass()]
    for field, after in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign | ast.Assign) or ast.unparse(field)[0] == "_":
            continue
        texts = [f": {' '.join(text.split())}" for text in _text(after)]
        yield f"- `{ast.unparse(field)}`{''.join(texts)}"


def _block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


PAGES = {"cli.md": cli, "api.md": api}


def main() -> int:
    old = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            old.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if old and "--check" in sys.argv:
        print(f"docs/reference: {', '.join(old)}: not current: make reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
