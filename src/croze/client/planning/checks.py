"""Checks of a build's options that ask no daemon."""

from __future__ import annotations

from collections.abc import Mapping

from croze.client.flags import source_policy
from croze.client.flags.cache import parse_caches
from croze.client.flags.image import check_annotations, parse_annotations, wanted_attests
from croze.client.flags.output import OutputFlag, parse_outputs
from croze.client.flags.pairs import pairs
from croze.client.flags.run import parse_resources, parse_ulimits
from croze.client.flags.session import parse_contexts, parse_secrets, parse_ssh
from croze.client.planning import outputs
from croze.client.planning.options import BuildOptions


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
    parse_annotations(options.annotations)
    parse_ulimits(options.ulimits)
    parse_resources(options.resources)


def check_texts(options: BuildOptions) -> None:
    """See that the options are such as buildx takes, before it looks for the builder. Raises
    `InvalidRequest`."""
    for values, from_env in ((options.build_args, True), (options.labels, False)):
        if not isinstance(values, Mapping):
            pairs(values, from_env=from_env)
    source_policy.from_environment()
    check_annotations(options.annotations)
    wanted_attests(options.attests, options.provenance, options.sbom, supported=False)
    if not isinstance(options.build_contexts, Mapping):
        parse_contexts(options.build_contexts)
    outputs.check_image_id(parse_outputs(options.outputs), options.iidfile)
    parse_caches(options.cache_from)
    parse_caches(options.cache_to)
    parse_secrets(options.secret_flags)
    parse_ssh(options.ssh)


def _check_secrets(options: BuildOptions) -> None:
    secrets = parse_secrets(options.secret_flags)
    if secrets:
        from croze.session.providers.secrets import SecretSource, SecretsProvider

        SecretsProvider([SecretSource(s.id, s.path, s.env) for s in secrets])


def _check_ssh(options: BuildOptions) -> None:
    agents = parse_ssh(options.ssh)
    if not agents:
        return
    from croze.session.providers.ssh import AgentSource, SshProvider

    SshProvider([AgentSource(agent.id, agent.paths, agent.raw) for agent in agents]).close()
