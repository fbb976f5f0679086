"""The files that tell of a build: `--iidfile` and `--metadata-file`."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from croze.client.builds.result import BuildResult
from croze.client.planning.options import BuildOptions, call_name
from croze.errors import CrozeError, os_reason
from croze.files.atomic import file_named, replaced, umasked, write_atomically
from croze.gotypes import gojson
from croze.gotypes.booleans import parse_bool

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.client.connect import Client


class NotWritten(CrozeError):
    """The build is done, but a file that should tell of it could not be written."""


def clear_files(options: BuildOptions) -> None:
    """Remove a file that would tell of an earlier build, in case that this one fails."""
    name, path = options.iidfile, Path(options.iidfile)
    if not name or not (path.is_dir() or replaced(path) is not None):
        return
    with written(name, "image ID file"):
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass
        except NotADirectoryError as error:
            reason = os_reason(error)
            raise NotWritten(f"removing image ID file: remove {name}: {reason}") from error


def write_files(options: BuildOptions, result: BuildResult, provenance: dict[str, object]) -> None:
    """Write `iidfile` and `metadata_file` as buildx does: the umask counts for the one, not for the
    other. Raises `NotWritten`."""
    if options.iidfile:
        with written(options.iidfile, "image ID file"):
            path = file_named(options.iidfile)
            write_atomically(path, result.image_id.encode(), umasked(0o644))
    if options.metadata_file:
        values = result.metadata | provenance
        if result.warnings and wants_warnings() and not call_name(options.call):
            from croze.progress.rawjson import metadata_warnings

            values["buildx.build.warnings"] = metadata_warnings(result.warnings)
        write_metadata(options.metadata_file, values)


def write_metadata(path: str, values: Mapping[str, object]) -> None:
    """A metadata file, as Go writes JSON. Raises `NotWritten`."""
    _check_folder(os.path.dirname(path))
    if os.path.isdir(path):
        raise NotWritten("cannot write to a directory")
    with written(path, "metadata file"):
        data = gojson.marshal_indent_as_is(dict(sorted(values.items())))
        write_atomically(file_named(path), data)


def _check_folder(folder: str) -> None:
    try:
        if not folder or stat.S_ISDIR(os.stat(folder).st_mode):
            return
        reason = os.strerror(errno.ENOTDIR)
    except OSError as error:
        reason = error.strerror or str(error)
    raise NotWritten(f"invalid output path: stat {folder}: {reason.lower()}")


@contextlib.contextmanager
def written(path: str, what: str) -> Iterator[None]:
    """Around writing a file: an `OSError` becomes `NotWritten`, which says which file it was."""
    try:
        yield
    except OSError as error:
        reason = os_reason(error)
        raise NotWritten(f"writing {what}: open {path}: {reason}") from error


def wants_warnings() -> bool:
    """Whether a metadata file is to have the warnings."""
    return bool(parse_bool(os.environ.get("BUILDX_METADATA_WARNINGS", "")))


async def metadata_provenance(
    client: Client,
    options: BuildOptions,
    ref: str,
    show: Callable[[control_pb2.StatusResponse], None] = lambda _: None,
) -> dict[str, object]:
    """The entries of the metadata file about how the result came to be."""
    if not options.metadata_file or call_name(options.call):
        return {}
    return await recorded_provenance(client, ref, show)


async def recorded_provenance(
    client: Client, ref: str, show: Callable[[control_pb2.StatusResponse], None]
) -> dict[str, object]:
    """The entries of the metadata file about how the result came to be, out of the daemon's record
    of the build."""
    from croze.client.records import provenance
    from croze.progress.own import own_step

    mode = provenance.metadata_mode()
    records = await provenance.recorded(client.channel, ref) if mode != "disabled" else []
    if not records:
        return {}
    with own_step("resolving provenance for metadata file", show):
        return await provenance.entries(client.channel, records, mode)
