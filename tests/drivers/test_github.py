"""What GitHub Actions says of a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.drivers.github import actions_context
from croze.errors import InvalidRequest


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    event = tmp_path / "event.json"
    event.write_text('{"ref": "refs/heads/main"}')
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_ACTOR": "a",
        "GITHUB_ACTOR_ID": "1",
        "GITHUB_TRIGGERING_ACTOR": "b",
        "GITHUB_REF": "refs/heads/main",
    }


def test_groups_are_told_whole_or_not_at_all(job: dict[str, str]) -> None:
    told = actions_context(job)
    assert told is not None
    assert json.loads(told) == {
        "github_actor": "a",
        "github_actor_id": "1",
        "github_event_name": "push",
        "github_event_payload": {"ref": "refs/heads/main"},
        "github_triggering_actor": "b",
    }


@pytest.mark.parametrize("missing", ["GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH"])
def test_nothing_is_told_outside_a_job(job: dict[str, str], missing: str) -> None:
    del job[missing]
    assert actions_context(job) is None


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_an_event_that_is_none(job: dict[str, str], content: str | None) -> None:
    path = Path(job["GITHUB_EVENT_PATH"])
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InvalidRequest, match=str(path)):
        actions_context(job)
