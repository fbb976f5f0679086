"""`croze imagetools inspect`: what an image in a registry or an OCI layout is."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from croze.builders.known import builder_files
from croze.cli.flags import Flags, UsageError
from croze.cli.imagetools import shown
from croze.errors import CrozeError, InvalidRequest
from croze.files.terminals import for_terminals
from croze.gotypes.strings import to_bytes
from croze.gotypes.template import TemplateError, render
from croze.gotypes.template.functions import TemplateFunction
from croze.image.descriptor import INDEX_TYPES, Descriptor
from croze.image.manifest import Index, parse_index
from croze.imagetools import contents
from croze.imagetools import location as locations
from croze.imagetools.contents import PlatformImage
from croze.imagetools.contract import Place
from croze.imagetools.places import opened

if TYPE_CHECKING:
    from croze.cli.common import Common

COMMAND = "croze imagetools inspect"
_MANIFEST_ALONE = re.compile(r"\s*\{\{\s*\.Manifest\s*\}\}\s*")


def run(argv: Sequence[str], common: Common) -> int:
    flags = Flags(COMMAND, "Show details of an image in the registry", "[OPTIONS] NAME")
    flags.text("--format", help='Format the output using the given Go template ("{{.Manifest}}")')
    flags.switch("--raw", help="Show original, unformatted JSON manifest")
    flags.add_argument("names", nargs="*", metavar="NAME")
    args = flags.read(argv, common)
    if len(args.names) != 1:
        raise UsageError(f"'{COMMAND}' requires 1 argument", COMMAND)
    if args.format and args.raw:
        raise InvalidRequest("format and raw cannot be used together")
    out = asyncio.run(_inspect(common, args.names[0], args.format, raw=args.raw))
    for_terminals(sys.stdout.buffer).write(out)
    sys.stdout.buffer.flush()
    return 0


async def _inspect(common: Common, name: str, format: str, *, raw: bool) -> bytes:
    location = locations.parse(name)
    async with opened(builder_files(common.builder)) as places:
        place = places.at(location)
        root = await place.resolve()
        data = await place.read(root)
        if raw:
            return data
        index = parse_index(data) if root.media_type in INDEX_TYPES else None
        if not format or _MANIFEST_ALONE.fullmatch(format):
            return shown.summary(location, root, index).encode()
        return to_bytes(await _formatted(place, name, format, root, index))


async def _formatted(
    place: Place, name: str, format: str, root: Descriptor, index: Index | None
) -> str:
    images = await contents.platform_images(place, root)
    value = shown.template_value(
        name,
        root,
        index,
        {text: image.config for text, image in images.items()},
        sbom=await _attested(place, images, contents.SPDX, "SBOM" in format),
        provenance=await _attested(place, images, contents.PROVENANCE, "Provenance" in format),
    )
    try:
        return render(format, value, {"json": TemplateFunction(shown.json)})
    except TemplateError as error:
        raise InvalidRequest(str(error)) from None


async def _attested(
    place: Place, images: Mapping[str, PlatformImage], type: str, is_asked: bool
) -> dict[str, list[object]]:
    """Predicates by platform: none for a template that does not ask. Of a single image, what can't
    be read is as what is not there, as buildx has it."""
    if not is_asked:
        return {}
    try:
        statements = {
            text: await contents.predicates(place, image, type) for text, image in images.items()
        }
    except CrozeError:
        if len(images) > 1:
            raise
        return {}
    return {text: predicates for text, predicates in statements.items() if predicates}
