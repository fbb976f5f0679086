"""WORKDIR: set a directory, and make it."""

from __future__ import annotations

from croze.dockerfile import lint_rules
from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.naming import expand_name, prefix_command, upper_keyword
from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.instructions import Workdir
from croze.dockerfile.lint import Linter
from croze.dockerfile.paths import is_absolute, normalize_workdir, to_slash
from croze.errors import CrozeError
from croze.llb.fileop import mkdir, owner
from croze.llb.options import OpOptions


def dispatch_workdir(
    build: PlatformBuild, stage: StageState, workdir: Workdir, lint: Linter
) -> None:
    """WORKDIR: the directory is made if it isn't there, but for `/`."""
    if not stage.workdir_set and not is_absolute(workdir.path, _os(stage)):
        lint.run(lint_rules.WORKDIR_RELATIVE_PATH, workdir.location, workdir.path)
    stage.workdir_set = True
    path = set_workdir(stage, workdir.path)
    if path != "/":
        _make_dir(build, stage, workdir, path)
    stage.commit(f"WORKDIR {path}", layer=path != "/", epoch=build.epoch)


def set_workdir(stage: StageState, path: str) -> str:
    """Note the directory, seen from the one before; returns it with slashes."""
    try:
        workdir = normalize_workdir(stage.image.working_dir, path, _os(stage))
    except CrozeError as err:
        raise err.wrap("normalizing workdir") from None
    stage.image.working_dir = workdir
    workdir = to_slash(workdir, _os(stage))
    stage.state = stage.state.dir(workdir)
    return workdir


def _make_dir(build: PlatformBuild, stage: StageState, workdir: Workdir, path: str) -> None:
    env = stage.state.env
    action = mkdir(
        path,
        0o755,
        parents=True,
        owner=owner(stage.image.user) if stage.image.user else None,
        created_ns=None if build.epoch is None else build.epoch * 1_000_000_000,
    )
    name = prefix_command(
        stage,
        upper_keyword(expand_name(build.lex, workdir.original, env)),
        with_platform=build.options.multi_platform,
        platform=stage.platform,
        env=env,
    )
    options: OpOptions = {**build.at(workdir.location), "name": name}
    stage.state = stage.state.file(action, **options)


def _os(stage: StageState) -> str:
    return stage.platform.os if stage.platform is not None else ""
