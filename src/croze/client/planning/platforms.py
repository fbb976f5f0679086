"""What a daemon says that its workers run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.llb.graph import platform_value

if TYPE_CHECKING:
    from croze.api import worker_pb2
    from croze.image.platform import Platform


def worker_platforms(worker: worker_pb2.WorkerRecord) -> list[Platform]:
    """The platforms of a worker, in its order."""
    return [platform_value(each) for each in worker.platforms]
