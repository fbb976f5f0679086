"""`croze use`: choose the builder of commands that name none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.builders import choose
from croze.builders.contexts import DEFAULT
from croze.builders.known import StoredBuilders, known
from croze.cli.builder import named
from croze.cli.flags import Flags
from croze.errors import InvalidRequest
from croze.files.docker_config import buildx_dir
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze use"


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Set the current builder instance", "[OPTIONS] NAME")
    flags.switch("--default", help="Set builder as default for current context")
    flags.switch("--global", help="Builder persists context changes")
    flags.one_argument("name", metavar="NAME")
    args = flags.read(argv, common)
    name = named(args.name, common)
    with known() as here:
        chosen = _chosen(here, name)
        here.stored.set_current(
            here.contexts.current_endpoint,
            chosen,
            anywhere=getattr(args, "global"),
            default=args.default,
        )
    return 0


def _chosen(here: StoredBuilders, name: str) -> str:
    """What is written of a choice: nothing for the builder that is there without one."""
    if here.stored.builder(name) is not None:
        return name
    current = here.contexts.current
    if name in (current, choose.OWN):
        return ""
    if name == DEFAULT:
        raise InvalidRequest("run `docker context use default` to switch to default context")
    if here.contexts.find(name) is not None:
        raise InvalidRequest(f"run `docker context use {name}` to switch to context {name}")
    path = buildx_dir() / "instances" / name
    raise InvalidRequest(
        f"failed to find instance {quote(name)}: open {path}: no such file or directory"
    )
