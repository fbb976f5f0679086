"""Contexts that are images: of a registry (`docker-image://`), or of a layout that the client has
(`oci-layout://`)."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from croze.dockerfile.image_json import parse_config
from croze.dockerfile.resolver import ImageQuestion, OciStore, Resolver
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.quote import quote
from croze.image import reference
from croze.image.config import ImageConfig
from croze.image.platform import Platform
from croze.llb.source import image, oci_layout
from croze.llb.state import State, scratch

IMAGE = "docker-image://"
LAYOUT = "oci-layout://"

Loaded = tuple[State, ImageConfig | None]


class ImageContexts(Struct, frozen=True):
    """Loads them. `label` goes before what progress shows; `name` stands for what a layout calls
    by an id."""

    resolver: Resolver
    label: str
    name: str
    platform: Platform | None = None
    resolve_mode: str = ""

    async def load_image(self, ref: str) -> Loaded:
        """The files and the config of an image in a registry. Raises `ReplacedImage` if a policy
        wants something else."""
        if ref == "scratch":
            return scratch(), None
        resolved = await self.resolver.resolve_image(
            ImageQuestion(
                reference.normalize(ref),
                self.platform,
                self.resolve_mode,
                f"{self.label} load metadata for {ref}",
            )
        )
        config = parse_config(resolved.config)
        name = f"{self.label} {ref}"
        if self.platform is not None:
            state = image(resolved.ref, name=name, platform=self.platform)
        else:
            state = image(resolved.ref, name=name)
        return state.with_image_config(config), undated(config)

    async def load_layout(self, spec: str) -> Loaded:
        """The files and the config of an image in a layout, which is named `store[:tag]@digest`."""
        store, digest = _parse(spec)
        session = self.resolver.session
        # The store says where to look; what is shown is the context's own name.
        ref = str(reference.parse(self.name).with_digest(digest))
        log_name = f"{self.label} load metadata for {ref}"
        resolved = await self.resolver.resolve_image(
            ImageQuestion(ref, self.platform, "", log_name, OciStore(session, store))
        )
        try:
            config = parse_config(resolved.config)
        except CrozeError as err:
            raise err.wrap("could not parse oci-layout image config") from None
        name = f"{self.label} OCI load from client"
        if self.platform is not None:
            state = oci_layout(ref, session=session, store=store, name=name, platform=self.platform)
        else:
            state = oci_layout(ref, session=session, store=store, name=name)
        return state.with_image_config(config), config


def undated(config: ImageConfig) -> ImageConfig:
    """The config without its creation time: a new image is made later."""
    return replace(config, created=None)


def _parse(spec: str) -> tuple[str, str]:
    """(store, digest) of `store[:tag]@digest`."""
    try:
        parsed = reference.parse(spec)
    except CrozeError as err:
        raise err.wrap(f"could not parse oci-layout reference {quote(spec)}") from None
    name = spec.partition("@")[0]
    if not parsed.digest:
        raise InvalidRequest(f"oci-layout reference {quote(name)} has no digest")
    return name.removesuffix(f":{parsed.tag}" if parsed.tag else ""), parsed.digest
