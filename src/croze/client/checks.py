"""Checks of a build's options that ask no daemon."""

from __future__ import annotations

from collections.abc import Mapping

from croze.client import (
    flags_cache,
    flags_image,
    flags_run,
    flags_session,
    outputs,
    source_policy,
)
from croze.client.flags_output import OutputFlag, parse_outputs
from croze.client.flags_pairs import pairs
from croze.client.options import BuildOptions


def check_options(options: BuildOptions) -> None:
    """See that a plan can be made of the options and lent: that secrets and keys are there, that
    outputs lead somewhere, that limits are amounts. Raises what making and lending the plan would;
    nothing is kept open."""
    _check_secrets(options)
    _check_ssh(options)
    outputs.create_exports(
        [each for each in options.outputs if isinstance(each, OutputFlag)],
        push=options.push,
        load=options.load,
    )
    flags_image.parse_annotations(options.annotations)
    flags_run.parse_ulimits(options.ulimits)
    flags_run.parse_resources(options.resources)


def check_texts(options: BuildOptions) -> None:
    """See that the options are such as buildx takes, before it looks for the builder. Raises
    `InvalidRequest`."""
    for values, from_env in ((options.build_args, True), (options.labels, False)):
        if not isinstance(values, Mapping):
            pairs(values, from_env=from_env)
    source_policy.from_environment()
    flags_image.check_annotations(options.annotations)
    flags_image.wanted_attests(options.attests, options.provenance, options.sbom, supported=False)
    if not isinstance(options.build_contexts, Mapping):
        flags_session.parse_contexts(options.build_contexts)
    outputs.check_image_id(parse_outputs(options.outputs), options.iidfile)
    flags_cache.parse_caches(options.cache_from)
    flags_cache.parse_caches(options.cache_to)
    flags_session.parse_secrets(options.secret_flags)
    flags_session.parse_ssh(options.ssh)


def _check_secrets(options: BuildOptions) -> None:
    secrets = flags_session.parse_secrets(options.secret_flags)
    if secrets:
        from croze.session.provide_secrets import SecretSource, SecretsProvider

        SecretsProvider([SecretSource(s.id, s.path, s.env) for s in secrets])


def _check_ssh(options: BuildOptions) -> None:
    agents = flags_session.parse_ssh(options.ssh)
    if not agents:
        return
    from croze.session.provide_ssh import AgentSource, SshProvider

    SshProvider([AgentSource(agent.id, agent.paths, agent.raw) for agent in agents]).close()
