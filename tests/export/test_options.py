"""What is wrong with attributes, in BuildKit's words (recorded from its exporters)."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.export.options import parse_commit

WRONG = [
    (
        {"compression-level": "1_0"},
        "non-integer value 1_0 specified for compression-level: "
        'strconv.ParseInt: parsing "1_0": invalid syntax',
    ),
    (
        {"force-compression": 'a"', "compression-level": "x"},
        'non-bool value a" specified for force-compression: '
        'strconv.ParseBool: parsing "a\\"": invalid syntax',
    ),
    (
        {"source-date-epoch": "٣", "compression": "x"},
        'invalid source-date-epoch: strconv.ParseInt: parsing "٣": invalid syntax: '
        'strconv.ParseInt: parsing "٣": invalid syntax',
    ),
    (
        {"oci-mediatypes": ""},
        'non-bool value specified for oci-mediatypes: strconv.ParseBool: parsing "": '
        "invalid syntax",
    ),
]


@pytest.mark.parametrize(("attrs", "message"), WRONG)
def test_wrong_attributes(attrs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_commit("image", attrs, inline_attestations=True)
    assert str(caught.value) == message


def test_a_space_of_another_script_is_part_of_an_annotation() -> None:
    options, rest = parse_commit(
        "image", {"annotation.a\u00a0b": "x", "annotation.a b": "y"}, inline_attestations=True
    )
    assert [key.key for key in options.annotations] == ["a\u00a0b"]
    assert rest == {"annotation.a b": "y"}
