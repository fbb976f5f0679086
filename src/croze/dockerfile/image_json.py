"""Image configs that come as JSON."""

from __future__ import annotations

import base64

from croze.errors import CrozeError, InvalidRequest
from croze.files.settings import parse_json
from croze.gotypes.json_text import syntax_error
from croze.image import config as image_config
from croze.image.config import ImageConfig

CONFIG_KEY = "containerimage.config"


def parse_config(data: bytes) -> ImageConfig:
    """Read a config. Raises `InvalidRequest` saying what is wrong with the JSON."""
    try:
        return image_config.parse(data)
    except CrozeError as err:
        raise InvalidRequest(syntax_error(data) or str(err)) from None


def input_config(metadata: str, key: str) -> ImageConfig | None:
    """The config in an input's metadata (JSON with base64 values), if there is one."""
    try:
        members = parse_json(metadata)
        encoded = members.get(CONFIG_KEY)
        data = base64.b64decode(encoded, validate=True) if encoded is not None else None
    except (ValueError, AttributeError, TypeError) as err:
        raise InvalidRequest(f"failed to parse input metadata {metadata}: {err}") from None
    if data is None:
        return None
    try:
        return parse_config(data)
    except CrozeError as err:
        raise err.wrap(f"failed to parse image config for {key}") from None
