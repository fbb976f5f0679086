"""What GitHub Actions says of the job that makes a builder, for the provenance of its builds.

Source: docker/buildx `util/ghutil`: names in the environment, each group told only when all of it
is there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from croze.errors import InvalidRequest
from croze.files.settings import parse_json, read_settings
from croze.gotypes import gojson
from croze.gotypes.booleans import parse_bool
from croze.gotypes.quote import quote

_GROUPS: tuple[Mapping[str, str], ...] = (
    {
        "github_actor": "GITHUB_ACTOR",
        "github_actor_id": "GITHUB_ACTOR_ID",
        "github_triggering_actor": "GITHUB_TRIGGERING_ACTOR",
    },
    {
        "github_ref": "GITHUB_REF",
        "github_ref_name": "GITHUB_REF_NAME",
        "github_ref_protected": "GITHUB_REF_PROTECTED",
        "github_ref_type": "GITHUB_REF_TYPE",
    },
    {
        "github_repository": "GITHUB_REPOSITORY",
        "github_repository_id": "GITHUB_REPOSITORY_ID",
        "github_repository_owner": "GITHUB_REPOSITORY_OWNER",
        "github_repository_owner_id": "GITHUB_REPOSITORY_OWNER_ID",
    },
    {
        "github_job": "GITHUB_JOB",
        "github_run_attempt": "GITHUB_RUN_ATTEMPT",
        "github_run_id": "GITHUB_RUN_ID",
        "github_run_number": "GITHUB_RUN_NUMBER",
        "github_server_url": "GITHUB_SERVER_URL",
        "github_workflow": "GITHUB_WORKFLOW",
        "github_workflow_ref": "GITHUB_WORKFLOW_REF",
        "github_workflow_sha": "GITHUB_WORKFLOW_SHA",
    },
    {
        "github_runner_image_os": "ImageOS",
        "github_runner_image_version": "ImageVersion",
        "github_runner_os": "RUNNER_OS",
        "github_runner_arch": "RUNNER_ARCH",
        "github_runner_environment": "RUNNER_ENVIRONMENT",
        "github_runner_tracking_id": "RUNNER_TRACKING_ID",
        "github_runner_name": "RUNNER_NAME",
    },
)


def actions_context(environ: Mapping[str, str] | None = None) -> bytes | None:
    """What GitHub says of the job that this process runs in, as JSON; None outside a job. Raises
    `InvalidRequest` for an event that can't be read."""
    environ = os.environ if environ is None else environ
    event, path = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_EVENT_PATH", "")
    if not parse_bool(environ.get("GITHUB_ACTIONS", "")) or not (event and path):
        return None
    context: dict[str, object] = {
        "github_event_name": event,
        "github_event_payload": _payload(path),
    }
    for group in _GROUPS:
        values = {key: environ.get(name, "") for key, name in group.items()}
        if all(values.values()):
            context.update(values)
    return gojson.marshal(context)


def _payload(path: str) -> object:
    try:
        data = read_settings(Path(path))
    except OSError as error:
        raise InvalidRequest(
            f"failed to read GITHUB_EVENT_PATH {quote(path)}: open {path}: {error.strerror}"
        ) from None
    try:
        payload = parse_json(data)
    except ValueError as error:
        raise InvalidRequest(
            f"failed to unmarshal GitHub event payload from {quote(path)}: {error}"
        ) from None
    if not isinstance(payload, dict):
        raise InvalidRequest(
            f"failed to unmarshal GitHub event payload from {quote(path)}: not an object"
        )
    return payload
