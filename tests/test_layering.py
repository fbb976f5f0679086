"""Imports run downwards only: the layers of CONTRIBUTING.md, as a failing check."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.syntax import nodes, parse

pytestmark = pytest.mark.sources

SRC = Path(__file__).resolve().parent.parent / "src" / "croze"

ANYWHERE = {
    "errors",
    "digests",
    "excerpt",
    "identity",
    "status",
    "compatibility",
    "job_values",
    "patterns",
    "version",
    "rpc",
    "files",
    "gotypes",
    "http",
}
BELOW_DAEMON = (
    "gateway why history export dockerfile ops remotecache solver cachekeys sources runtime store "
    "registry session fs image llb api attest sbom sigstore telemetry"
)
MAY_IMPORT: dict[str, set[str]] = {
    "aio": set(),
    "workers": set(),
    "api": set(),
    "gotypes": set(),
    "rpc": {"api"},
    "files": set(),
    "http": set(),
    "telemetry": {"api"},
    "llb": {"api", "image"},
    "image": set(),
    "fs": set(),
    "cachekeys": set(),
    "sqlite": set(),
    "store": {"cachekeys", "fs", "image", "sqlite"},
    "registry": {"image", "session", "api"},
    "session": {"api", "fs"},
    "signatures": set(),
    "sigstore": {"api", "image"},
    "solver": {"cachekeys"},
    "sources": {
        *("store", "cachekeys", "registry", "session", "fs", "image", "api", "signatures"),
    },
    "runtime": {"store", "fs", "telemetry"},
    "ops": {
        "runtime",
        "sources",
        "store",
        "solver",
        "cachekeys",
        "session",
        "fs",
        "image",
        "llb",
        "api",
        "telemetry",
    },
    "clouds": set(),
    "remotecache": {
        *("store", "registry", "session", "solver", "cachekeys", "sources", "image", "fs"),
        *("clouds", "sigstore"),
    },
    "gateway": {
        *("solver", "ops", "api", "llb", "store", "image"),
        *("fs", "sources", "dockerfile", "runtime", "session", "attest"),
    },
    "why": {"solver", "ops", "api", "fs", "sqlite"},
    "history": {"store", "llb", "api"},
    "export": {"store", "image", "registry", "session", "fs", "api"},
    "attest": {
        *("solver", "cachekeys", "ops", "sources", "store", "dockerfile", "llb", "image"),
        *("api", "runtime"),
    },
    "dockerfile": {"llb", "image", "api", "fs"},
    "client": {
        *("builders", "session", "llb", "api", "progress", "image", "fs", "clouds", "policy"),
        "sigstore",
    },
    "policy": {"rego", "signatures", "session", "llb", "api", "image"},
    "debug": {"client", "session", "progress", "llb", "image", "fs", "api"},
    "builders": {"image", "llb", "files"},
    "drivers": {"client", "builders", "progress", "session", "files", "fs", "image", "api"},
    "imagetools": {"client", "registry", "session", "image", "fs"},
    "bake": {"image", "llb", "policy"},
    "progress": {"api"},
    "rego": set(),
    "sbom": {"fs"},
    "engineapi": {
        *("store", "session", "export", "registry", "image", "api", "dockerfile"),
        *("llb", "fs", "runtime", "sources"),
    },
    "daemon": {*BELOW_DAEMON.split(), "engineapi"},
    "sdk": {
        *("client", "imagetools", "bake", "builders", "drivers", "policy", "image", "progress"),
        "api",
    },
    "cli": {
        *("sdk", "client", "policy", "imagetools", "bake", "builders", "drivers", "image"),
        *("progress", "debug"),
        "api",
    },
}


def imported_modules(path: Path) -> set[str]:
    """Dotted names below `croze` that the file imports, wherever the import stands."""
    found: set[str] = set()
    for node in nodes(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return {name.removeprefix("croze.") for name in found if name.startswith("croze.")}


def packages() -> list[str]:
    return sorted(p.parent.name for p in SRC.glob("*/__init__.py"))


def test_every_package_is_on_the_plan() -> None:
    assert set(packages()) == set(MAY_IMPORT)


@pytest.mark.parametrize("package", packages())
def test_a_package_says_what_may_go_in(package: str) -> None:
    init = SRC / package / "__init__.py"
    assert ast.get_docstring(parse(init.read_text(encoding="utf-8")))


@pytest.mark.parametrize("package", packages())
def test_imports_run_downwards(package: str) -> None:
    allowed = MAY_IMPORT[package] | ANYWHERE | {package, "aio", "workers"}
    wrong = {
        f"{path.relative_to(SRC)} imports {name}"
        for path in (SRC / package).rglob("*.py")
        if not path.stem.endswith(("_pb2", "_pb2_grpc"))  # generated, and long
        for name in imported_modules(path)
        if name.split(".")[0] not in allowed and not name.startswith("__")
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("package", packages())
def test_what_is_private_is_imported_nowhere(package: str) -> None:
    wrong = [
        f"{path.relative_to(SRC)} imports {name}"
        for path in (SRC / package).rglob("*.py")
        if "_pb2" not in path.name
        for name in imported_modules(path)
        if is_private(name)
    ]
    assert not wrong, "\n".join(sorted(wrong))


def is_private(name: str) -> bool:
    return any(re.match(r"_(?!_)", part) for part in name.split("."))


def test_a_private_name_is_seen() -> None:
    assert is_private("fs.content.checksum._key_path")
    assert not is_private("version.__version__")


FOLDERS = {
    "fs": ("", "match", "tree", "tar", "content", "copy", "sync", "bundle"),
    "client": (
        *("plan", "flags", "docker", "layouts", "planning", "solving", "policies", ""),
        *("crozed", "decisions", "records", "builds"),
    ),
    "daemon": (
        *("config", "host", "telemetry", "worker", "engine", "build", "services", "debug", ""),
    ),
}
"""Folders of large packages, and modules beside them, each of which imports those before it alone.
"" are the package's other modules: of `fs` what all need, of `client` the connection, of `daemon`
what starts all."""
_PLACES = [(package, place) for package, order in FOLDERS.items() for place in order]


@pytest.mark.parametrize("package", FOLDERS)
def test_every_folder_has_its_place(package: str) -> None:
    here = {p.parent.name for p in (SRC / package).glob("*/__init__.py")}
    modules = {p.stem for p in (SRC / package).glob("*.py")}
    assert here <= {*FOLDERS[package]} - {""} <= here | modules


@pytest.mark.parametrize(("package", "place"), _PLACES)
def test_folders_import_downwards(package: str, place: str) -> None:
    order = FOLDERS[package]
    above = set(order[order.index(place) + 1 :])
    files = [path for path in (SRC / package).rglob("*.py") if place_of(_name(path)) == place]
    assert files
    wrong = {
        f"{path.relative_to(SRC)} imports {name}"
        for path in files
        for name in imported_modules(path)
        if name.startswith(f"{package}.") and place_of(name) in above and path.name != "preload.py"
    }
    assert not wrong, "\n".join(sorted(wrong))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts)


def place_of(name: str) -> str:
    """Where in the order of its package a dotted name stands."""
    package, part, *_ = name.split(".")
    return part if part in FOLDERS[package] else ""


def test_a_folder_is_told_from_what_lies_beside_it() -> None:
    assert place_of("daemon.engine.content.x") == "engine"
    assert place_of("daemon.server.serve") == ""
    assert place_of("client.plan.SolvePlan") == "plan"


def test_contributing_tells_the_same() -> None:
    """Each package has a row; what it may import is in its own layer or below."""
    text = (SRC.parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| `(\w+)/` \| .+ \|$", text, re.MULTILINE)
    layers = {package: int(layer) for layer, package in rows}
    assert set(layers) == set(packages())
    assert [layer for layer, _ in rows] == sorted((layer for layer, _ in rows), reverse=True)
    upwards = {
        f"{package} -> {other}"
        for package, others in MAY_IMPORT.items()
        for other in others
        if other in layers and package in layers and layers[other] > layers[package]
    }
    assert not upwards
