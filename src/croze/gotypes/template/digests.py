"""Digests in templates: texts with the methods that go-digest gives them.

Source: opencontainers/go-digest.
"""

from __future__ import annotations

from collections.abc import Mapping

from croze.gotypes.template.values import HasMethods, TemplateMethod


class GoDigest(str, HasMethods):
    """A digest such as `sha256:ab…`; of one without a colon, the algorithm is all of it."""

    type_name = "digest.Digest"

    @property
    def plain(self) -> object:
        return str(self)

    def methods(self) -> Mapping[str, TemplateMethod]:
        algorithm, _, encoded = self.partition(":")
        return {
            "Algorithm": TemplateMethod(lambda: algorithm),
            "Encoded": TemplateMethod(lambda: encoded),
            "Hex": TemplateMethod(lambda: encoded),
            "String": TemplateMethod(lambda: str(self)),
        }
