"""The choice of what goes, on plain values; and filters."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from croze.errors import InvalidRequest
from croze.store.contract import PrunePolicy, RecordType, UsageRecord
from croze.store.filters import parse
from croze.store.gc import DiskStat, PruneCandidate, choose, fields, keep_bytes

NOW = 1_000_000.0
DISK = DiskStat(total=100 << 30, free=50 << 30)


def record(
    id: str,
    size: int = 10,
    *,
    age_s: float = 0,
    uses: int = 1,
    parents: tuple[str, ...] = (),
    held: bool = False,
    type: RecordType = "regular",
) -> PruneCandidate:
    at = datetime.fromtimestamp(NOW - age_s, UTC)
    usage = UsageRecord(id, False, held, size, parents, at, at, uses, f"made {id}", type)
    return PruneCandidate(usage, held)


def chosen(records: list[PruneCandidate], policy: PrunePolicy) -> list[str]:
    return list(choose(records, policy, DISK, NOW))


def test_everything_idle_goes_children_first() -> None:
    records = [record("a"), record("b", parents=("a",)), record("c", parents=("b",))]
    assert chosen(records, PrunePolicy()) == ["c", "b", "a"]


def test_what_is_held_keeps_what_it_lies_on() -> None:
    records = [
        record("a"),
        record("b", parents=("a",), held=True),
        record("c", parents=("a",)),
    ]
    assert chosen(records, PrunePolicy(all=True)) == ["c"]


def test_internal_and_frontend_records_go_only_with_all() -> None:
    records = [
        record("i", type="internal"),
        record("f", type="frontend"),
        record("r"),
    ]
    assert chosen(records, PrunePolicy()) == ["r"]
    assert sorted(chosen(records, PrunePolicy(all=True))) == ["f", "i", "r"]


def test_keep_duration_spares_the_recently_used() -> None:
    records = [record("new", age_s=10), record("older", age_s=100), record("old", age_s=50)]
    assert chosen(records, PrunePolicy(keep_duration_s=50)) == ["older", "old"]


def test_filters_narrow_the_choice() -> None:
    records = [record("a", type="source.local"), record("b", type="exec.cachemount"), record("c")]
    policy = PrunePolicy(filters=("type==source.local", "type==exec.cachemount"))
    assert sorted(chosen(records, policy)) == ["a", "b"]
    assert chosen(records, PrunePolicy(filters=("type!=regular,id~=^a",))) == ["a"]


@pytest.mark.parametrize("name", ["id", "parents", "description", "inuse", "shared"])
def test_what_a_record_has_not_is_no_field(name: str) -> None:
    usage = msgspec.structs.replace(record("").usage, description="")
    assert not parse([name])(fields(usage))


def test_sizes_stop_the_deletion_least_valuable_first() -> None:
    records = [
        record("used", 10, age_s=5, uses=9),
        record("old", 10, age_s=100, uses=1),
        record("older", 10, age_s=200, uses=1),
    ]
    assert chosen(records, PrunePolicy(max_used_space=25)) == ["older"]
    assert chosen(records, PrunePolicy(max_used_space=15)) == ["older", "old"]
    assert chosen(records, PrunePolicy(max_used_space=100)) == []
    assert chosen(records, PrunePolicy(max_used_space=15, reserved_space=25)) == ["older"]


def test_free_space_is_made_down_to_what_is_reserved() -> None:
    free = DiskStat(100, 20)
    assert keep_bytes(PrunePolicy(), 50, free) == 0
    assert keep_bytes(PrunePolicy(min_free_space=30), 50, free) == 40
    assert keep_bytes(PrunePolicy(min_free_space=30, reserved_space=45), 50, free) == 45
    assert keep_bytes(PrunePolicy(min_free_space=30, max_used_space=35), 50, free) == 35
    assert keep_bytes(PrunePolicy(min_free_space=10), 50, free) == 50
    assert keep_bytes(PrunePolicy(min_free_space=10, max_used_space=35), 50, free) == 35


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('id==b,parents~=^a;,description=="made b",type==internal', True),
        ("immutable,inuse,private", True),
        ("mutable", False),
        ("shared", False),
    ],
)
def test_filters_see_all_of_a_record(text: str, expected: bool) -> None:
    usage = record("b", parents=("a", "c"), held=True, type="internal").usage
    assert parse([text])(fields(usage)) is expected


FIELDS = {"id": "abc", "type": "regular", "mutable": "", "description": "local a b", "no": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("mutable", True),
        ("inuse", False),
        ("no", False),
        ("id==abc", True),
        ("id==abd", False),
        ("id!=abd", True),
        ("no!=x", True),
        ("no==x", False),
        ("id~=^a.c$", True),
        ("id~=/^b/", False),
        ('description=="local a b"', True),
        ("type==regular,mutable", True),
        ("type==regular,inuse", False),
        (" type == regular, mutable", True),
        ("id~=(", False),
        ("type.x==regular", True),
        ("until==24h", False),
    ],
)
def test_filter(text: str, expected: bool) -> None:
    assert parse([text])(FIELDS) is expected


def test_filters_are_alternatives() -> None:
    assert parse(["inuse", "mutable"])(FIELDS)
    assert not parse(["inuse", "id==x"])(FIELDS)
    assert parse([])(FIELDS)


@pytest.mark.parametrize("text", ["==a", "id=a", "id==", "id==a b", "id===a", "id=='", "id==/a/"])
def test_bad_filters_are_pointed_at(text: str) -> None:
    with pytest.raises(InvalidRequest, match="filters: parse error"):
        parse([text]) if text != "id=='" else parse(["id==a|b c"])
