"""Which of what a policy does not know is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from croze.policy.fields import to_ask, unresolved

UNKNOWN = ["image.labels", "image.provenance", "image.provenance.materials[0].image.labels"]
MATERIAL = "image.provenance.materials[0]"


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("image.labels", ["image.labels"]),
        ("image.labels.a", []),
        ("image.label", []),
        (MATERIAL, ["image.provenance"]),
        (f"{MATERIAL}.git.commit", ["image.provenance"]),
        (f"{MATERIAL}.image.labels", ["image.provenance", f"{MATERIAL}.image.labels"]),
        (f"{MATERIAL}.image.labels.a", ["image.provenance", f"{MATERIAL}.image.labels"]),
    ],
)
def test_what_is_asked_for(field: str, names: list[str]) -> None:
    assert to_ask([field], UNKNOWN) == (names, [] if names else [field])


def test_a_material_of_a_material_needs_the_provenance_of_both() -> None:
    inner = f"{MATERIAL}.image.provenance"
    field = f"{inner}.materials[1].image.labels"
    assert to_ask([field], ["image.provenance", inner, field]) == (
        ["image.provenance", inner, field],
        [],
    )


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([], ["image.labels", "image.provenance", "image.provenance.materials"]),
        (["image.labels"], ["image.labels"]),
        (["image.labels.a", "image.labels[0]"], ["image.labels"]),
        (["image.labelled", "image"], []),
        ([f"{MATERIAL}.image.labels.a"], [f"{MATERIAL}.image.labels"]),
        ([f"{MATERIAL}.git"], ["image.provenance"]),
    ],
)
def test_what_is_still_not_known(fields: Sequence[str], names: list[str]) -> None:
    assert unresolved(UNKNOWN, fields) == names
