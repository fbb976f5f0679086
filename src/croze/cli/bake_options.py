"""Targets of a definition as builds of the client."""

from __future__ import annotations

from croze.bake.requests import BuildRequest, attest_flag, cache_flag, secret_flag, ssh_flag
from croze.client.flags_output import Output
from croze.client.options import BuildOptions
from croze.errors import Unsupported


def options_of(request: BuildRequest) -> BuildOptions:
    """What the client is asked for one target. Raises `Unsupported` for a policy: one that is not
    asked would let through what it forbids."""
    if any(not policy.disabled for policy in request.policy):
        raise Unsupported(
            f"target {request.name}: policy: source policies in Rego are not evaluated here yet; "
            "build without them by --policy disabled=true"
        )
    return BuildOptions(
        context=request.context,
        dockerfile=request.dockerfile,
        dockerfile_inline=request.dockerfile_inline,
        tags=request.tags,
        target=request.target,
        build_args=request.args,
        build_contexts=request.contexts,
        platforms=request.platforms,
        labels=request.labels,
        annotations=request.annotations,
        secrets=[secret_flag(each) for each in request.secrets],
        ssh=[ssh_flag(each) for each in request.ssh],
        no_cache=request.no_cache,
        no_cache_filter=request.no_cache_filter,
        pull=request.pull,
        outputs=[Output(each.type, each.dest, dict(each.attrs)) for each in request.outputs],
        cache_from=[cache_flag(each) for each in request.cache_from],
        cache_to=[cache_flag(each) for each in request.cache_to],
        add_hosts=request.hosts,
        network=request.network,
        shm_size=request.shm_size_bytes,
        ulimits=request.ulimits,
        resources=request.resources,
        allow=request.entitlements,
        attests=[attest_flag(each) for each in request.attests],
        call=request.call,
    )
