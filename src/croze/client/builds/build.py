"""One build from start to end: options become a plan, which is solved while a display shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from croze.client.builds.links import check_alone
from croze.client.builds.metadata import clear_files, metadata_provenance, write_files
from croze.client.builds.remote_dockerfile import with_remote_dockerfile
from croze.client.builds.result import BuildResult
from croze.client.planning.builder import BuilderTraits, buildkitd, warn_of_no_output
from croze.client.planning.inputs import reads_stdin
from croze.client.planning.make import planned
from croze.client.planning.options import BuildOptions
from croze.errors import CrozeError, Unsupported

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.client.connect import Client
    from croze.client.plan import SolvePlan
    from croze.progress.display import Display
    from croze.rpc.held import Work


async def run_build(
    client: Client,
    options: BuildOptions,
    display: Display,
    *,
    builder: BuilderTraits | None = None,
    on_status: Callable[[control_pb2.StatusResponse], None] | None = None,
    explain: bool = False,
    work: Work | None = None,
) -> BuildResult:
    """Build on the daemon of `client`; cancel the task to cancel the build. Raises `CrozeError`.

    The status is drawn on `display`, which is closed at the end, and given to `on_status`. With
    `explain` the daemon is asked why steps missed the cache. `work` is given what the frontend
    answers, and the build waits for its end. Files that the options name for the image ID and the
    metadata are written.
    """
    from croze.progress.display import refreshing

    status = _ShownStatus(display, on_status)
    clear_files(options)
    with closing(display):
        async with refreshing(display):
            options = await with_remote_dockerfile(client, options, status.show)
        traits, plan = await planned_for(client, builder, options)
        try:
            check_alone(plan)
            async with refreshing(display):
                solved = await client.solve(plan, status.show, work=work)
                provenance = await metadata_provenance(client, options, solved.ref, display.update)
        except CrozeError as error:
            raise clearer(error).of_record(history_ref(builder, plan, plan.ref)) from None
        finally:
            plan.close()
    missed = await why_missed(client, solved.ref) if status.a_step_ran and explain else ""
    result = BuildResult(
        solved.ref,
        solved.exporter_response,
        tuple(display.warnings),
        history_ref(traits, plan, solved.ref),
        missed,
    )
    write_files(options, result, provenance)
    return result


class _ShownStatus(Struct):
    """A build's status as it is shown."""

    display: Display
    on_status: Callable[[control_pb2.StatusResponse], None] | None
    a_step_ran: bool = False

    def show(self, status: control_pb2.StatusResponse) -> None:
        if not self.a_step_ran:
            self.a_step_ran = any(
                vertex.HasField("completed") and step_ran(vertex) for vertex in status.vertexes
            )
        self.display.update(status)
        if self.on_status is not None:
            self.on_status(status)


async def planned_for(
    client: Client, builder: BuilderTraits | None, options: BuildOptions
) -> tuple[BuilderTraits | None, SolvePlan]:
    """The builder as it turns out to be, and the plan for it. While a daemon of which nothing is
    known says what it is, the plan is made as for a `crozed`, unless it can be made but once."""
    is_sure = builder is None or builder.sure
    is_once = reads_stdin(options.context, options.dockerfile)
    if is_sure or is_once or not await client.beside_us():
        traits = await met(client, builder, options)
        return traits, await planned(options, traits)
    plan = await planned(options, builder)
    try:
        traits = await met(client, builder, options)
    except BaseException:
        plan.close()
        raise
    if traits is not builder:
        plan.close()
        plan = await planned(options, traits)
    return traits, plan


def history_ref(builder: BuilderTraits | None, plan: SolvePlan, ref: str) -> str:
    """How the history knows a build; empty for one that it doesn't."""
    if plan.internal:
        return ""
    return f"{builder.place}/{ref}" if builder is not None and builder.place else ref


async def met(
    client: Client, builder: BuilderTraits | None, options: BuildOptions
) -> BuilderTraits | None:
    """What the builder turns out to be once it is connected, with a warning if it keeps nothing of
    the build."""
    return await met_for(client, builder, {"default": options})


async def met_for(
    client: Client, builder: BuilderTraits | None, builds: Mapping[str, BuildOptions]
) -> BuilderTraits | None:
    """`met` for several targets built together. What is dialled by address may be a BuildKit."""
    if builder is not None and builder.driver and not builder.default_load:
        warn_of_no_output(builds, builder.driver)
    if builder is not None and builder.moby:
        from croze.client.builds import docker_features

        await docker_features.check(client, builds)
        gateway = await docker_features.host_gateway(client, builds)
        attestations = await docker_features.has_image_store(client)
        builder = structs.replace(builder, host_gateway=gateway, attestations=attestations)
    if builder is None or builder.sure:
        return builder
    try:
        if await client.is_crozed():
            return builder
    except Unsupported:
        pass  # a BuildKit of before 2022
    traits = buildkitd(builder)
    if not traits.default_load:
        warn_of_no_output(builds)
    return traits


def step_ran(vertex: control_pb2.Vertex) -> bool:
    """Whether a vertex is a step of the user's that the cache did not have."""
    return bool(vertex.inputs) and not vertex.cached and vertex.name.startswith("[")


async def why_missed(client: Client, ref: str) -> str:
    """The daemon's account of why steps missed the cache; empty from one that keeps no records."""
    from croze.client.crozed.why import explain

    try:
        return (await explain(client.channel, ref, files=3)).summary
    except CrozeError:
        return ""


_CONTEXTS = "unsupported frontend capability moby.buildkit.frontend.contexts"
_GIT_QUERY = "unsupported frontend capability moby.buildkit.frontend.gitquerystring"


def clearer(error: CrozeError, *, bake: bool = False) -> CrozeError:
    """The error of a frontend that is too old for what was asked, in terms of the command line; any
    other as it is."""
    if _CONTEXTS in str(error):
        what = (
            "current frontend does not support defining additional contexts for targets."
            if bake
            else "current frontend does not support --build-context."
        )
        return error.with_message(
            f"{what} Named contexts are supported since Dockerfile v1.4. "
            "Use #syntax directive in Dockerfile or update to latest BuildKit."
        )
    if _GIT_QUERY in str(error):
        return error.with_message(
            "current frontend does not support Git URLs with query string components. "
            "Git URLs with query string are supported since Dockerfile v1.18 and BuildKit v0.24. "
            "Use BUILDKIT_SYNTAX build-arg, #syntax directive in Dockerfile or update to latest "
            "BuildKit."
        )
    return error
