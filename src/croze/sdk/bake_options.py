"""Targets of a definition as builds of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.bake.requests import BuildRequest, attest_flag, cache_flag, secret_flag, ssh_flag
from croze.client.flags.output import OutputFlag
from croze.client.planning.options import BuildOptions

if TYPE_CHECKING:
    from croze.client.builds.remote_files import RemoteFiles


def options_of(request: BuildRequest, remote: RemoteFiles | None = None) -> BuildOptions:
    """What the client is asked for one target; `remote` is what its definition is among."""
    context, contexts = _inputs(request, remote)
    return BuildOptions(
        context=request.context,
        dockerfile=request.dockerfile,
        dockerfile_inline=request.dockerfile_inline,
        tags=request.tags,
        target=request.target,
        build_args=request.args,
        build_contexts=request.contexts,
        context_input=context,
        build_context_inputs=contexts,
        platforms=request.platforms,
        labels=request.labels,
        annotations=request.annotations,
        secrets=[secret_flag(each) for each in request.secrets],
        ssh=[ssh_flag(each) for each in request.ssh],
        no_cache=request.no_cache,
        no_cache_filter=request.no_cache_filter,
        pull=request.pull,
        outputs=[OutputFlag(each.type, each.dest, dict(each.attrs)) for each in request.outputs],
        cache_from=[cache_flag(each) for each in request.cache_from],
        cache_to=[cache_flag(each) for each in request.cache_to],
        add_hosts=request.hosts,
        network=request.network,
        shm_size=request.shm_size_bytes,
        ulimits=request.ulimits,
        resources=request.resources,
        allow=request.entitlements,
        attests=[attest_flag(each) for each in request.attests],
        policies=request.policy,
        call=request.call,
    )


def _inputs(request: BuildRequest, remote: RemoteFiles | None) -> tuple[bytes, dict[str, bytes]]:
    """Contexts that are directories beside a definition that is elsewhere."""
    if remote is None:
        return b"", {}
    of = request.context_of
    context = remote.directory(of, f"set context to {of}") if of else b""
    return context, {
        name: remote.directory(path, f"set context {name} to {path}")
        for name, path in request.contexts_of.items()
    }
