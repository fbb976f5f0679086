"""Build options turned into a plan.

Rules and messages: buildx `commands/build.go`, `build/opt.go` (toSolveOpt). No grpc here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

from croze.client.flags import source_policy
from croze.client.flags.cache import complete, parse_caches
from croze.client.flags.image import (
    DEFAULT_PROVENANCE,
    parse_annotations,
    plain_manifests,
    wanted_attests,
)
from croze.client.flags.output import parse_outputs
from croze.client.flags.pairs import pairs
from croze.client.flags.run import check_network, parse_hosts, parse_resources, parse_ulimits
from croze.client.flags.session import parse_allow, parse_contexts, parse_secrets, parse_ssh
from croze.client.plan import AgentFrom, CacheSpec, Export, SecretFrom, SolvePlan, ToDocker
from croze.client.planning import git_info, inputs, outputs
from croze.client.planning.builder import BuilderTraits, no_default_load
from croze.client.planning.options import BuildOptions, call_name
from croze.errors import InvalidRequest
from croze.files.atomic import write_atomically
from croze.gotypes.booleans import parse_bool
from croze.gotypes.quote import quote
from croze.gotypes.sizes import parse_bytes
from croze.policy.contract import PolicyEnv
from croze.policy.options import plan_policies

log = logging.getLogger(__name__)


def make_plan(options: BuildOptions, builder: BuilderTraits | None = None) -> SolvePlan:
    """The plan of a build. Close it when the build is over; on errors it has been closed."""
    plan = SolvePlan(frontend="dockerfile.v0", ref=options.ref)
    plan.source_policy = source_policy.from_environment()
    try:
        _fill(plan, options, builder or BuilderTraits())
    except BaseException:
        plan.close()
        raise
    return plan


async def planned(options: BuildOptions, builder: BuilderTraits | None = None) -> SolvePlan:
    """Like `make_plan`, but a cancellation need not wait for who writes to standard input."""
    if not inputs.reads_stdin(options.context, options.dockerfile):
        return make_plan(options, builder)
    import asyncio

    from croze.aio.threads import abandonable

    is_abandoned = False

    def make() -> SolvePlan:
        plan = make_plan(options, builder)
        if is_abandoned:
            plan.close()
        return plan

    try:
        return await abandonable(make)
    except asyncio.CancelledError:
        is_abandoned = True
        raise


def _fill(plan: SolvePlan, options: BuildOptions, builder: BuilderTraits) -> None:
    _check(options)
    args = _mapping(options.build_args, from_env=True)
    if "SOURCE_DATE_EPOCH" not in args and os.environ.get("SOURCE_DATE_EPOCH"):
        args["SOURCE_DATE_EPOCH"] = os.environ["SOURCE_DATE_EPOCH"]
    plan.frontend_attrs.update(options.frontend_attrs)
    _set_frontend(plan, args)
    attests = wanted_attests(
        options.attests, options.provenance, options.sbom, supported=builder.attestations
    )
    plan.frontend_attrs.update(attests)
    _set_call(plan, options)
    allowed = parse_allow(options.allow)
    plan.entitlements = list(allowed.entitlements)
    plan.exports = _exports(options, builder, args, allowed.local_delete)
    attested = any(attrs != DEFAULT_PROVENANCE for attrs in attests.values())
    outputs.check_lists(plan.exports, options.platforms, attested=attested)
    outputs.check_layouts(plan.exports, moby=builder.moby)
    _set_caches(plan, options, args)
    for prefix, values in (
        ("build-arg", {**_missing(builder.proxy, args), **args}),
        ("label", _mapping(options.labels, from_env=False)),
    ):
        plan.frontend_attrs.update({f"{prefix}:{key}": v for key, v in values.items()})
    _lend(plan, options)
    labels = _mapping(options.labels, from_env=False)
    plan.policy = plan_policies(
        options.policies,
        plan.policy_place,
        PolicyEnv(args, labels, _policy_filename(options.dockerfile), options.target),
        options.policy_log_level,
    )
    _set_steps(plan, options, builder)


def _policy_filename(dockerfile: str) -> str:
    """What a policy hears of the Dockerfile's name."""
    name = os.path.basename(os.path.normpath(dockerfile)) if dockerfile else ""
    return name if name not in ("", ".", "/") else "Dockerfile"


def _check(options: BuildOptions) -> None:
    if options.no_cache and options.no_cache_filter:
        raise InvalidRequest("--no-cache and --no-cache-filter cannot currently be used together")
    check_network(options.network)
    for name, values in (
        ("file", (options.dockerfile,)),
        ("secret", options.secret_flags),
        ("ssh", options.ssh),
        ("cache-from", options.cache_from),
        ("cache-to", options.cache_to),
    ):
        for value in values:  # of files that say so, or an editor; a command line has none
            if "\0" in value:
                raise InvalidRequest(f"invalid {name} {quote(value)}: no path has a zero byte")


def _mapping(values: Sequence[str] | Mapping[str, str], *, from_env: bool) -> dict[str, str]:
    return dict(values) if isinstance(values, Mapping) else pairs(values, from_env=from_env)


def _missing(proxy: Mapping[str, str], args: Mapping[str, str]) -> dict[str, str]:
    arg_names = {key.lower() for key in args}
    return {key: value for key, value in proxy.items() if key.lower() not in arg_names}


def _set_frontend(plan: SolvePlan, args: Mapping[str, str]) -> None:
    syntax = args.get("BUILDKIT_SYNTAX")
    if syntax is not None:
        if not syntax.strip():
            raise InvalidRequest(
                "empty BUILDKIT_SYNTAX build-arg is invalid, use --build-arg BUILDKIT_SYNTAX "
                "without '=' for optional behavior"
            )
        plan.frontend = "gateway.v0"
        plan.frontend_attrs["source"] = syntax.strip().split(" ")[0]
        plan.frontend_attrs["cmdline"] = syntax


def _set_call(plan: SolvePlan, options: BuildOptions) -> None:
    """A subrequest instead of a build."""
    name = call_name(options.call)
    if name:
        plan.frontend_attrs["requestid"] = f"frontend.{name}"
        plan.frontend_attrs["frontend.caps"] = "moby.buildkit.frontend.subrequests"
        plan.internal = True


def _exports(
    options: BuildOptions, builder: BuilderTraits, args: Mapping[str, str], local_delete: bool
) -> list[Export]:
    exports = _wanted_exports(options, builder)
    outputs.check_delete(exports, local_delete)
    annotations = parse_annotations(options.annotations)
    for export in exports:
        export.attrs.update(annotations)
    if builder.keeps_images:
        exports = [_kept(export) for export in exports]
    outputs.name_images(exports, options.tags)
    plain = builder.attestations and plain_manifests()
    for export in exports:
        _set_image_attrs(export, args, plain_manifests=plain)
    if builder.moby:
        exports = [_in_engine(export) for export in exports]
    return [export for export in exports if export.type != "cacheonly"]


def _wanted_exports(options: BuildOptions, builder: BuilderTraits) -> list[Export]:
    """What the options ask for; else a load, where the builder is to load by default."""
    flags = parse_outputs(options.outputs)
    outputs.check_image_id(flags, options.iidfile)
    exports = outputs.create_exports(flags, push=options.push, load=options.load)
    wants_image = builder.default_load and not call_name(options.call)
    if not exports and wants_image and not no_default_load():
        return [Export("docker", {}, ToDocker())]
    return exports


def _set_image_attrs(export: Export, args: Mapping[str, str], *, plain_manifests: bool) -> None:
    """What build arguments and the environment say of images."""
    if export.type in ("docker", "image", "oci") and "BUILDKIT_INLINE_BUILDINFO_ATTRS" in args:
        export.attrs["buildinfo-attrs"] = args["BUILDKIT_INLINE_BUILDINFO_ATTRS"]
    if export.type in ("image", "oci") and plain_manifests:
        export.attrs.setdefault("oci-artifact", "false")


def _kept(export: Export) -> Export:
    """A load into the builder's own image store, unless a Docker engine is named for it."""
    here = isinstance(export.to, ToDocker) and not export.to.context
    return Export("image", export.attrs) if here else export


def _in_engine(export: Export) -> Export:
    """An image in a Docker engine's own store."""
    return Export("moby", export.attrs, export.to) if export.type == "image" else export


def _set_caches(plan: SolvePlan, options: BuildOptions, args: Mapping[str, str]) -> None:
    plan.cache_to = complete(parse_caches(options.cache_to))
    if parse_bool(args.get("BUILDKIT_INLINE_CACHE", "")):
        plan.cache_to.append(CacheSpec("inline"))
    plan.cache_from = complete(parse_caches(options.cache_from))


def _lend(plan: SolvePlan, options: BuildOptions) -> None:
    """What the session lends: directories, secrets, agents."""
    contexts = options.build_contexts
    if not isinstance(contexts, Mapping):
        contexts = parse_contexts(contexts)
    inputs.load(
        inputs.Inputs(
            context=options.context,
            dockerfile=options.dockerfile,
            dockerfile_read=options.dockerfile_read,
            dockerfile_inline=options.dockerfile_inline,
            contexts=contexts,
            stdin=options.stdin,
            context_input=options.context_input,
            context_inputs=options.build_context_inputs,
        ),
        plan,
    )
    folders = {name: folder.path for name, folder in plan.local_dirs.items()}
    git_attrs = git_info.git_attributes(options.context, options.dockerfile, folders)
    plan.frontend_attrs.update(git_attrs)
    node = node_id()
    if plan.shared_key:
        plan.shared_key += f":{node}"
    for key in plan.frontend_attrs:
        if key.startswith("sharedkey:localdir:"):
            plan.frontend_attrs[key] += f":{node}"
    plan.secrets = parse_secrets(options.secret_flags)
    plan.secrets += [secret for secret in options.secrets if isinstance(secret, SecretFrom)]
    plan.ssh = parse_ssh(options.ssh)
    if not plan.ssh and "@" in options.context and inputs.is_git_over_ssh(options.context):
        plan.ssh = [AgentFrom("default")]


def _set_steps(plan: SolvePlan, options: BuildOptions, builder: BuilderTraits) -> None:
    """How steps are run and which."""
    attrs = plan.frontend_attrs
    if options.network in ("host", "none"):
        attrs["force-network-mode"] = options.network
    if options.network == "host":
        plan.entitlements.append("network.host")
    size = options.shm_size
    size_bytes = size if isinstance(size, int) else parse_bytes(size) if size else 0
    no_cache = "" if options.no_cache else ",".join(options.no_cache_filter) or None
    step_attrs = {
        "target": options.target or None,
        "cgroup-parent": options.cgroup_parent or None,
        "image-resolve-mode": "pull" if options.pull else "local" if builder.moby else None,
        "no-cache": no_cache,
        "platform": _platforms(options.platforms) or None,
        "multi-platform": "true" if _multi_platform(plan, builder) else None,
        "add-hosts": (parse_hosts(options.add_hosts, builder.host_gateway, builder.driver) or None),
        "shm-size": str(size_bytes) if size_bytes else None,
        "ulimit": parse_ulimits(options.ulimits) or None,
    }
    attrs.update({key: value for key, value in step_attrs.items() if value is not None})
    attrs.update(parse_resources(options.resources))


def _multi_platform(plan: SolvePlan, builder: BuilderTraits) -> bool:
    text = plan.frontend_attrs.get("build-arg:BUILDKIT_MULTI_PLATFORM", "")
    return builder.many_nodes or bool(parse_bool(text))


def _platforms(values: Sequence[str]) -> str:
    """Platforms in normal form. One that is there twice is the daemon's to tell of."""
    parts = [part for text in values for part in text.split(",")]
    if not parts:
        return ""
    from croze.image import platform as platforms

    parsed = [
        platforms.default_platform() if text == "local" else platforms.parse(text) for text in parts
    ]
    texts = (platforms.format_all(platforms.normalize(platform)) for platform in parsed)
    return ",".join(texts)


def node_id() -> str:
    """An id that tells this machine's contexts from others'; kept in the configuration
    directory."""
    from croze.files.docker_config import buildx_dir

    path = buildx_dir() / ".buildNodeID"
    try:
        return path.read_text()
    except OSError:
        pass
    id = os.urandom(8).hex()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, id.encode(), 0o600)
    except OSError:
        pass  # a home that can't be written to: the id serves this build alone
    return id
