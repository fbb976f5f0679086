"""What digests are made of: noted, kept, found, shown."""

from __future__ import annotations

from pathlib import Path

from croze.cachekeys.texts import DigestText, note, noted_digest, wanted
from croze.daemon.debug.texts import MOST, TextRecord, as_json, as_text, find
from croze.store.digest_texts import keeping_texts

ROOT = "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1"


def test_they_outlive_the_daemon(tmp_path: Path) -> None:
    with keeping_texts(tmp_path) as texts:
        assert wanted()
        op = noted_digest(b'{"Type":"x"}', "json")
        key = noted_digest(f"{op}@0".encode(), "string")
        assert find(texts, key) is not None
    assert not wanted()
    noted_digest(b"later", "string")
    with keeping_texts(tmp_path) as texts:
        assert texts.digests() == sorted((op, key))
        found = find(texts, key)
        assert found is not None
        assert "".join(as_text(found)) == (
            f"{key} (string):\n  {op} (json):\n  data: {op}@0\n"
            f'\n{op} (json):\n  data: {{"Type":"x"}}\n'
        )
        assert find(texts, "sha256:" + "0" * 64) is None
        note(op, DigestText("file", (b"name", 70000)))
        changed = find(texts, op)
        assert changed is not None
        assert as_json(changed) == {
            "digest": op,
            "type": "file",
            "data": [{"type": 2, "data": b"name"}, {"type": 3, "data": b"p\x11\x01\0"}],
        }


def test_lists_name_others(tmp_path: Path) -> None:
    with keeping_texts(tmp_path) as texts:
        a, b = noted_digest(b"a", "file"), noted_digest(b"b", "file")
        listed = noted_digest(f"\0sha256:x{a}\0/sub/{b}".encode(), "file-list")
        both = noted_digest(f"{listed}\0{b}".encode(), "digest-list")
        paths = noted_digest(f"/x\0{a}".encode(), "string-list")
        found = find(texts, both)
        assert found is not None
        assert [each.digest for each in found.below] == [listed, b]
        assert [each.digest for each in found.below[0].below] == [a, b]
        alone = find(texts, paths)
        assert alone is not None
        assert not alone.below


def test_the_root_is_always_known() -> None:
    found = find(None, ROOT)
    assert found is not None
    assert "".join(as_text(found)) == f"{ROOT} (string):\n  data: /\n"


def test_however_deep_directories_are(tmp_path: Path) -> None:
    with keeping_texts(tmp_path) as texts:
        digest = noted_digest(b"f", "file")
        for _ in range(2000):
            digest = noted_digest(f"\0d{digest}".encode(), "file-list")
        found = find(texts, digest)
        assert found is not None
        assert len(list(as_text(found))) < 500


def test_texts_that_each_name_another_twice(tmp_path: Path) -> None:
    """A build chooses its texts: 2**60 ways lead through these."""

    def count(record: TextRecord) -> int:
        return 1 + sum(map(count, record.below))

    with keeping_texts(tmp_path) as texts:
        last = noted_digest(b"first", "string")
        for _ in range(60):
            last = noted_digest(f"{last} {last}".encode(), "string")
        found = find(texts, last)
        assert found is not None
        assert 60 < count(found) <= MOST + 1
