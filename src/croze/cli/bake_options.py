"""Targets of a definition as builds of the client."""

from __future__ import annotations

from croze.bake.requests import BuildRequest, attest_flag, cache_flag, secret_flag, ssh_flag
from croze.client.flags_output import Output
from croze.client.options import BuildOptions


def options_of(request: BuildRequest) -> BuildOptions:
    """What the client is asked for one target."""
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
