"""A machine for evaluation that is made up, and short ways to evaluate in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from croze.bake.printing import as_json, plain_selection
from croze.bake.project import load_definition
from croze.bake.requests import make_requests
from croze.bake.select import Selection, select_targets
from croze.bake.world import BakeSettings, File
from croze.client.planning.checks import check_options
from croze.sdk.bake_options import options_of

BUILTINS = {"BAKE_CMD_CONTEXT": "cwd://", "BAKE_LOCAL_PLATFORM": "linux/amd64"}


@dataclass
class FakeWorld:
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/project"
    warnings: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2024, 2, 29, 13, 4, 5, tzinfo=UTC)

    def home(self) -> str:
        return "/home/golden"

    def random_bytes(self, size: int) -> bytes:
        return bytes(range(size))

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def read(self, path: str) -> bytes:
        found = self.files.get(path.removeprefix(f"{self.directory}/"))
        if found is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return found.encode()


def select(
    files: Mapping[str, str],
    names: Sequence[str] = ("default",),
    *,
    sets: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    world: FakeWorld | None = None,
) -> Selection:
    world = world or FakeWorld()
    definition_files = [
        File(name, text.encode("utf-8", "surrogateescape")) for name, text in files.items()
    ]
    settings = BakeSettings(BUILTINS, variables or {})
    return select_targets(load_definition(definition_files, settings, world), names, sets, world)


def printed(
    files: Mapping[str, str] | str,
    names: Sequence[str] = ("default",),
    *,
    sets: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    world: FakeWorld | None = None,
    checked: bool = False,
) -> dict[str, dict[str, dict[str, object]]]:
    """What `--print` shows; if `checked`, the client has looked at the builds as well."""
    files = {"docker-bake.hcl": files} if isinstance(files, str) else files
    selection = select(files, names, sets=sets, variables=variables, world=world)
    for request in make_requests(selection).values():
        if checked:
            check_options(options_of(request))
    found: dict[str, dict[str, dict[str, object]]] = json.loads(as_json(plain_selection(selection)))
    return found
