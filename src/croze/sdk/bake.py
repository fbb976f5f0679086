"""Bake for programs: a definition's targets as builds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from croze.bake.entitlements import missing, parse_allow, question
from croze.bake.errors import BakeError
from croze.bake.project import load_definition
from croze.bake.requests import make_requests
from croze.bake.select import select_targets
from croze.bake.world import BakeSettings
from croze.client.planning.checks import check_options
from croze.errors import InvalidRequest, PermissionDenied
from croze.image import platform as platforms
from croze.sdk.bake_files import file_relative_paths, names_from_environment, read_local_files
from croze.sdk.bake_options import options_of
from croze.sdk.bake_world import LocalWorld, existing_path

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.client.planning.options import BuildOptions


class BakeRequest(Struct, frozen=True):
    """What `Builder.bake` is asked for."""

    targets: Sequence[str] = ()
    files: Sequence[str | os.PathLike[str]] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    allow: Sequence[str] = ()


def bake_options(
    request: BakeRequest, show: Callable[[control_pb2.StatusResponse], None]
) -> dict[str, BuildOptions]:
    """A build for each target, those that others link to included. Raises `CrozeError`:
    `PermissionDenied` for what a definition wants and was not allowed."""
    if isinstance(request.targets, str):
        raise InvalidRequest(f"targets must be a list of strings, such as [{request.targets!r}]")
    if remote := next((name for name in request.targets if "://" in name or "@" in name), ""):
        raise InvalidRequest(f"{remote}: only definitions in files are baked here: see croze bake")
    names = [os.fspath(name) for name in request.files]
    files = read_local_files(names or names_from_environment(), show)
    if not files:
        raise BakeError("couldn't find a bake definition")
    builtins = {
        "BAKE_CMD_CONTEXT": "",
        "BAKE_LOCAL_PLATFORM": platforms.format(platforms.default_platform()),
    }
    world = LocalWorld()
    settings = BakeSettings(builtins, dict(request.variables), file_relative_paths())
    definition = load_definition(files, settings, world)
    names_wanted = request.targets or ("default",)
    selection = select_targets(definition, names_wanted, request.overrides, world)
    requests = make_requests(selection, None)
    allowed = parse_allow(request.allow)
    allowed.grant(selection.granted)
    allowed.read.append(os.getcwd())
    allowed.write.append(os.getcwd())
    privileges = question(missing(allowed, requests, existing_path), os.path.realpath(os.getcwd()))
    if not privileges.is_empty:
        listed = "; ".join(line.strip(" -") for line in (*privileges.lines, *privileges.file_lines))
        grant = [*privileges.flags, *privileges.file_flags]
        raise PermissionDenied(f"the definition wants more than it may: {listed}: allow={grant}")
    builds = {name: options_of(each) for name, each in requests.items()}
    for name in sorted(builds):
        check_options(builds[name])
    return builds
