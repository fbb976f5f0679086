"""What came of a build, and what its exporters answered."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from croze.gotypes import gojson

if TYPE_CHECKING:
    from croze.api import control_pb2

DIGEST = "containerimage.digest"
CONFIG_DIGEST = "containerimage.config.digest"


class BuildResult(Struct, frozen=True):
    """What came of a build."""

    ref: str
    response: dict[str, str] = field(default_factory=dict)
    """The exporters' response, as the daemon gave it."""
    warnings: tuple[control_pb2.VertexWarning, ...] = ()
    history_ref: str = ""
    """`BUILDER/NODE/REF`, or what is known of it, by which the history knows the build."""
    missed: str = ""
    """How many steps missed the cache and why, in one line, if that was to be asked."""

    @property
    def digest(self) -> str:
        """The digest of the image's manifest or index; empty if no image was made."""
        return self.response.get(DIGEST, "")

    @property
    def image_id(self) -> str:
        """What `--iidfile` and `--quiet` give: the config's digest, or else the manifest's."""
        return self.response.get(CONFIG_DIGEST, "") or self.digest

    @property
    def metadata(self) -> dict[str, object]:
        """What `--metadata-file` gets: the response, with JSON in it decoded, and how the
        history knows the build."""
        metadata = decoded_metadata(self.response)
        return metadata | ({"buildx.build.ref": self.history_ref} if self.history_ref else {})


def decoded_metadata(response: Mapping[str, str]) -> dict[str, object]:
    """An exporter's answer, with JSON in it decoded."""
    return {key: _decoded(key, value) for key, value in sorted(response.items())}


def _decoded(key: str, value: str) -> object:
    try:
        data = value.encode() if key == "result.json" else base64.b64decode(value, validate=True)
        loaded = gojson.unmarshal(data)
    except (ValueError, binascii.Error):  # of which msgspec's errors are
        return value
    is_list = isinstance(loaded, list) and all(isinstance(item, dict) for item in loaded)
    return loaded if loaded and (isinstance(loaded, dict) or is_list) else value
