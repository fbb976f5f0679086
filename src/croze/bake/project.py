"""All files of a project to one definition, whatever language each is in."""

from __future__ import annotations

from collections.abc import Sequence

from croze.bake import paths
from croze.bake.definition.read import Definition, read_definition
from croze.bake.errors import BakeError, with_excerpt
from croze.bake.functions.library import standard_library
from croze.bake.hcl.bodies import parse_file
from croze.bake.hcl.content import AnyBody, JsonBody, NativeBody
from croze.bake.hcl.json_parser import parse_json_file
from croze.bake.hcl.source import HclError
from croze.bake.recursion import deep_recursion
from croze.bake.values.value import TooLargeError
from croze.bake.world import BakeSettings, File, World


def load_definition(files: Sequence[File], settings: BakeSettings, world: World) -> Definition:
    """Read and evaluate all files. BakeError if something is wrong, with the lines that are."""
    data = {each.name: each.data for each in files}
    definition = Definition()
    try:
        with deep_recursion():
            _load(files, settings, world, definition)
    except HclError as error:
        raise with_excerpt(error, data) from None
    except TooLargeError as error:
        raise BakeError(str(error)) from None
    if settings.file_relative_paths:
        paths.rebase(definition)
    return definition


def _load(
    files: Sequence[File], settings: BakeSettings, world: World, definition: Definition
) -> None:
    compose: list[File] = []
    bodies: list[AnyBody] = []
    for file in files:
        is_compose, problem = _is_compose(file, settings, world)
        if is_compose:
            compose.append(file)
        else:
            bodies.append(_parse(file, problem))
    if compose:
        from croze.bake.compose.project import read_compose

        read_compose(compose, settings, world, definition)
    if bodies:
        functions = standard_library(world)
        read_definition(bodies, settings, world.environment, functions, definition)


def _is_compose(file: File, settings: BakeSettings, world: World) -> tuple[bool, Exception | None]:
    """Whether it is a compose file, and what is wrong with it if it may be one."""
    if file.name.lower().endswith((".json", ".hcl")):
        return False, None
    from croze.bake.compose.project import ComposeError, is_compose

    try:
        return is_compose(file, settings, world), None
    except ComposeError as error:
        return False, error


def _parse(file: File, compose_problem: Exception | None) -> AnyBody:
    """A file in native syntax or JSON; without an ending it may be either."""
    text = file.data.decode("utf-8", "surrogateescape")
    native = text.removeprefix("\ufeff")
    if file.name.endswith(".json"):
        return JsonBody(parse_json_file(text, file.name))
    if file.name.endswith(".hcl"):
        return NativeBody(parse_file(native, file.name))
    try:
        return NativeBody(parse_file(native, f"{file.name}.hcl"))
    except HclError as error:
        try:
            return JsonBody(parse_json_file(text, f"{file.name}.json"))
        except HclError:
            pass
        if compose_problem is None:
            raise
        why = f"parsing yaml: {compose_problem}, parsing hcl: {error}"
        raise BakeError(f"failed to parse {file.name}: {why}") from None
