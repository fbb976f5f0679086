"""Where results go: outputs of the command line as exports of a plan.

Rules and messages: buildx `build/opt.go` (CreateExports), `commands/build.go`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from croze.client.flags.output import OutputFlag
from croze.client.flags.pairs import is_true
from croze.client.flags.session import LOCAL_DELETE
from croze.client.plan import Destination, Export, ToDir, ToDocker, ToFd, ToFile, ToLayout
from croze.errors import InvalidRequest, os_reason
from croze.files.atomic import file_named
from croze.gotypes.booleans import parse_bool
from croze.gotypes.quote import quote

STDOUT = 1


def create_exports(
    outputs: Sequence[OutputFlag], *, push: bool = False, load: bool = False
) -> list[Export]:
    """The exports of `--output`, `--push` and `--load` together."""
    exports = [_create(output) for output in outputs]
    if sum(isinstance(export.to, ToFd) for export in exports) > 1:
        raise InvalidRequest("multiple outputs configured to write to stdout")
    if push:
        exports = _pushed(exports)
    if load and not any(isinstance(export.to, ToDocker) for export in exports):
        exports.append(Export("docker", {}, ToDocker()))
    return exports


def check_image_id(outputs: Sequence[OutputFlag], iidfile: str) -> None:
    """See that the outputs make an image, if a file is to be given its id. Raises
    `InvalidRequest`."""
    if iidfile and any(output.type in ("local", "tar") for output in outputs):
        raise InvalidRequest("local and tar exporters are incompatible with image ID file")


def _pushed(exports: list[Export]) -> list[Export]:
    """Every image is pushed, or, if there is none, one more output is."""
    images = [export for export in exports if export.type == "image"]
    if not images:
        return [*exports, Export("image", {"push": "true", "unpack": "false"})]
    for export in images:
        export.attrs["push"] = "true"
        export.attrs.setdefault("unpack", "false")
    return exports


def _create(output: OutputFlag) -> Export:
    attrs = dict(output.attrs)
    match output.type:
        case "local":
            return Export("local", attrs, _directory(output))
        case "tar":
            return Export("tar", attrs, _file(output))
        case "oci" | "docker" as type:
            if parse_bool(attrs.get("tar", "")) is False:
                return Export(type, attrs, ToLayout(_dir_path(output)))
            if type == "docker" and not output.dest:
                return Export(type, attrs, ToDocker(attrs.get("context", "")))
            return Export(type, attrs, _file(output))
        case "registry":
            return Export("image", {"unpack": "false", **attrs, "push": "true"})
        case type:
            if output.dest:
                attrs["dest"] = output.dest
            return Export(type, attrs)


def _directory(output: OutputFlag) -> ToDir:
    mode = output.attrs.get("mode", "").strip().lower()
    if mode not in ("", "copy", "delete"):
        raise InvalidRequest(f"invalid local exporter mode {quote(output.attrs['mode'])}")
    return ToDir(_dir_path(output), delete_extra=mode == "delete")


def _dir_path(output: OutputFlag) -> Path:
    if not output.dest:
        raise InvalidRequest(f"dest is required for {output.type} exporter")
    if output.dest == "-":
        raise InvalidRequest(f"dest cannot be stdout for {output.type} exporter")
    status = _at_destination(output, "directory")
    if status is not None and not stat.S_ISDIR(status.st_mode):
        raise InvalidRequest(f"destination directory {output.dest} is a file")
    return Path(output.dest)


def _at_destination(output: OutputFlag, what: str) -> os.stat_result | None:
    """What is where an output goes; None for nothing. Raises `InvalidRequest` where nothing can
    be."""
    try:
        return os.stat(output.dest)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = (error.strerror or "") if isinstance(error, OSError) else "invalid argument"
        raise InvalidRequest(
            f"invalid destination {what}: {output.dest}: stat {output.dest}: {why.lower()}"
        ) from None


def _file(output: OutputFlag) -> Destination:
    if output.dest in ("", "-"):
        if os.isatty(STDOUT):
            raise InvalidRequest(
                f"dest file is required for {output.type} exporter. refusing to write to console"
            )
        return ToFd(STDOUT)
    status = _at_destination(output, "file")
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise InvalidRequest(f"destination file {output.dest} is a directory")
    try:
        return ToFile(file_named(output.dest))
    except OSError as error:
        why = f"open {output.dest}: {os_reason(error)}"
        raise InvalidRequest(f"invalid destination file: {why}") from None


def check_delete(exports: Sequence[Export], allowed: bool) -> None:
    """`mode=delete` outside the working directory needs to be allowed."""
    working = Path.cwd().resolve()
    for export in exports:
        if allowed or not isinstance(export.to, ToDir) or not export.to.delete_extra:
            continue
        if working not in export.to.path.resolve().parents:
            raise InvalidRequest(
                f"local output mode=delete for destination {quote(str(export.to.path))} "
                f"requires --allow={LOCAL_DELETE}"
            )


def check_lists(exports: Sequence[Export], platforms: Sequence[str], *, attested: bool) -> None:
    """See that no output is Docker's archive, if there is more than one platform or an attestation:
    it has no place for them. Raises `InvalidRequest`."""
    if attested or len([p for text in platforms for p in text.split(",")]) > 1:
        for export in exports:
            check_list(export)


def check_layouts(exports: Sequence[Export], *, moby: bool) -> None:
    """See that no layout is to be Docker's: as buildx has it, such an output is to be both a
    directory and what a Docker engine loads. Raises `InvalidRequest`."""
    if any(export.type == "docker" and isinstance(export.to, ToLayout) for export in exports):
        if moby:
            raise InvalidRequest("output directory is not supported by moby exporter")
        raise InvalidRequest("both file and store output is not supported by docker exporter")


def check_list(export: Export) -> None:
    """See that what is exported can be a list of manifests. Raises `InvalidRequest`."""
    if export.type != "docker":
        return
    if isinstance(export.to, ToDocker | ToLayout):
        raise InvalidRequest("docker exporter does not currently support exporting manifest lists")
    raise InvalidRequest(
        "docker exporter does not support exporting manifest lists, use the oci exporter instead"
    )


def name_images(exports: Sequence[Export], tags: Sequence[str]) -> None:
    """Give images the build's tags for names. Raises `InvalidRequest` for one that is to be pushed
    and has none."""
    names = ",".join(check_tag(tag) for tag in tags)
    if tags:
        for export in exports:
            if export.type in ("image", "oci", "docker"):
                export.attrs["name"] = names
        return
    for export in exports:
        if (
            export.type == "image"
            and not export.attrs.get("name")
            and is_true(export.attrs, "push")
        ):
            raise InvalidRequest("tag is needed when pushing to registry")


def check_tag(tag: str) -> str:
    """The tag itself. Raises `InvalidRequest` if it is no reference."""
    from croze.image import reference

    try:
        reference.check(tag)
    except InvalidRequest as error:
        raise error.wrap(f"invalid tag {quote(tag)}") from None
    return tag
