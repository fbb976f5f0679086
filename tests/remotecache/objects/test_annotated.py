"""What cache configs in object storage say of their layers."""

from __future__ import annotations

from typing import cast

import pytest

from croze.image.descriptor import (
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    Descriptor,
    layer_type,
)
from croze.remotecache.annotated import annotated
from croze.remotecache.config import NO_PARENT, CacheConfig, CacheLayer
from croze.remotecache.gather import GatheredLayer
from croze.store.contract import ImmutableRef
from tests.solver.arithmetic import sha


@pytest.mark.parametrize("kind", [OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD])
def test_layers_of_docker_are_told_of_as_oci_has_them(kind: str) -> None:
    """As by BuildKit (`cache/remotecache/v1`, `marshalRemote`), whichever image they came with."""
    for stored in (layer_type(kind, oci=False), kind):
        layer = Descriptor(stored, sha("layer"), 7)
        gathered = GatheredLayer(layer, sha("diff"), cast(ImmutableRef, None))
        config = CacheConfig(layers=(CacheLayer(layer.digest, NO_PARENT),))
        notes = annotated(config, {layer.digest: gathered}, ()).layers[0].annotations
        assert notes is not None
        assert notes.media_type == kind
