"""What keeps a build's policies from being loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.client.plan import AgentFrom, SolvePlan
from croze.client.policies.enforce import in_force
from croze.errors import CrozeError
from croze.policy.options import PolicyPlace, PolicyPlan, WantedFile, WantedPolicy
from croze.rpc.channel import Channel


async def test_a_key_that_is_none_is_told_of_before_a_policy_is_looked_for(tmp_path: Path) -> None:
    """A context in a repository is asked for the policy's file by a build of its own."""
    key = tmp_path / "key.pub"
    key.write_text("ssh-ed25519 AAAA")
    policy = WantedPolicy((WantedFile("Dockerfile.rego", optional=True),))
    place = PolicyPlace(context_url="https://git.example.com/r.git")
    plan = SolvePlan(ssh=[AgentFrom("default", (str(key),))], policy=PolicyPlan((policy,), place))
    async with Channel(f"unix://{tmp_path}/none.sock") as channel:
        with pytest.raises(CrozeError, match=r"^failed to convert agent config \{default "):
            async with in_force(channel, plan, None):
                pass
