"""How two ops of the same kind differ, in the words of a Dockerfile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from croze.api import ops_pb2

_MOUNTS = {
    ops_pb2.BIND: "bind",
    ops_pb2.SECRET: "secret",
    ops_pb2.SSH: "ssh",
    ops_pb2.CACHE: "cache",
    ops_pb2.TMPFS: "tmpfs",
}
_NETWORKS = {ops_pb2.UNSET: "default", ops_pb2.HOST: "host", ops_pb2.NONE: "none"}


class Difference(Struct, frozen=True):
    """One thing that differs. `kind` as in `reasons.Reason`; `subject` is what changed (a
    variable's name)."""

    kind: str
    subject: str
    old: str = ""
    new: str = ""


def differences(old: bytes, new: bytes) -> list[Difference]:
    """What differs between two marshalled ops, their inputs left aside."""
    before, after = ops_pb2.Op.FromString(old), ops_pb2.Op.FromString(new)
    kind = after.WhichOneof("op")
    if kind != before.WhichOneof("op"):
        return [Difference("instruction", "")]
    listed = list(_platform(before, after))
    match kind:
        case "exec":
            listed += _exec(before.exec, after.exec)
        case "source":
            listed += _source(before.source, after.source)
        case "file":
            listed += _file(before.file, after.file)
        case _:
            if before.SerializeToString() != after.SerializeToString():
                listed.append(Difference("instruction", ""))
    return listed


def _platform(old: ops_pb2.Op, new: ops_pb2.Op) -> Iterator[Difference]:
    one, two = _platform_text(old.platform), _platform_text(new.platform)
    if one != two:
        yield Difference("platform", "platform", one, two)


def _platform_text(platform: ops_pb2.Platform) -> str:
    parts = (platform.OS, platform.Architecture, platform.Variant)
    return "/".join(part for part in parts if part)


def _exec(old: ops_pb2.ExecOp, new: ops_pb2.ExecOp) -> Iterator[Difference]:
    if old.meta.args != new.meta.args:
        yield Difference("instruction", "command", " ".join(old.meta.args), " ".join(new.meta.args))
    yield from _maps("environment", _env(old.meta.env), _env(new.meta.env))
    yield from _mounts(old.mounts, new.mounts)
    yield from _maps("secret", _secret_env(old), _secret_env(new))
    for name, one, two in (
        ("working directory", old.meta.cwd, new.meta.cwd),
        ("user", old.meta.user, new.meta.user),
        ("hostname", old.meta.hostname, new.meta.hostname),
        ("network", _NETWORKS.get(old.network, "?"), _NETWORKS.get(new.network, "?")),
        ("security", _security(old), _security(new)),
        ("extra hosts", _hosts(old), _hosts(new)),
        ("ulimits", _ulimits(old), _ulimits(new)),
        ("cgroup parent", old.meta.cgroupParent, new.meta.cgroupParent),
    ):
        if one != two:
            yield Difference("option", name, one, two)


def _env(values: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in values)}


def _maps(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    """Entries that came, went or changed. Missing is not the same as empty."""
    for name in sorted(old.keys() | new.keys()):
        one, two = old.get(name), new.get(name)
        if one != two:
            unset = "(not set)"
            yield Difference(
                kind, name, unset if one is None else one, unset if two is None else two
            )


def _secret_env(op: ops_pb2.ExecOp) -> dict[str, str]:
    return {item.name: f"secret {item.ID}" for item in op.secretenv}


def _security(op: ops_pb2.ExecOp) -> str:
    return "insecure" if op.security == ops_pb2.INSECURE else "sandbox"


def _hosts(op: ops_pb2.ExecOp) -> str:
    return ", ".join(host.Host for host in op.meta.extraHosts)


def _ulimits(op: ops_pb2.ExecOp) -> str:
    return ", ".join(f"{u.Name}={u.Soft}:{u.Hard}" for u in op.meta.ulimit)


def _mounts(old: Sequence[ops_pb2.Mount], new: Sequence[ops_pb2.Mount]) -> Iterator[Difference]:
    one = {mount.dest: mount for mount in old}
    two = {mount.dest: mount for mount in new}
    for dest in sorted(one.keys() | two.keys()):
        before = _mount_text(one[dest]) if dest in one else "(none)"
        after = _mount_text(two[dest]) if dest in two else "(none)"
        if before != after:
            kind = (two.get(dest) or one[dest]).mountType
            name = {ops_pb2.SECRET: "secret", ops_pb2.SSH: "ssh"}.get(kind, "mount")
            yield Difference(name, dest, before, after)


def _mount_text(mount: ops_pb2.Mount) -> str:
    """A mount in the form of the flag, without what stays the same for all."""
    words = [f"type={_MOUNTS.get(mount.mountType, '?')}"]
    if mount.HasField("secretOpt"):
        secret = mount.secretOpt
        words += [f"id={secret.ID}", f"mode={secret.mode:04o}"]
        words += [f"uid={secret.uid}", f"gid={secret.gid}"] if secret.uid or secret.gid else []
        words += ["required"] if not secret.optional else []
    if mount.HasField("SSHOpt"):
        words += [f"id={mount.SSHOpt.ID}"] + (["required"] if not mount.SSHOpt.optional else [])
    if mount.HasField("cacheOpt"):
        sharing = ops_pb2.CacheSharingOpt.Name(mount.cacheOpt.sharing).lower()
        words += [f"id={mount.cacheOpt.ID}", f"sharing={sharing}"]
    if mount.HasField("TmpfsOpt") and mount.TmpfsOpt.size:
        words.append(f"size={mount.TmpfsOpt.size}")
    if mount.selector:
        words.append(f"source={mount.selector}")
    if mount.readonly:
        words.append("ro")
    return ",".join(words)


def _source(old: ops_pb2.SourceOp, new: ops_pb2.SourceOp) -> Iterator[Difference]:
    if old.identifier != new.identifier:
        yield Difference("source", "", old.identifier, new.identifier)
    yield from _maps("option", dict(old.attrs), dict(new.attrs))


def _file(old: ops_pb2.FileOp, new: ops_pb2.FileOp) -> Iterator[Difference]:
    if len(old.actions) != len(new.actions):
        yield Difference("instruction", "")
        return
    for before, after in zip(old.actions, new.actions, strict=True):
        if before != after:
            yield from _action(before, after)


def _action(old: ops_pb2.FileAction, new: ops_pb2.FileAction) -> Iterator[Difference]:
    kind = new.WhichOneof("action")
    if kind is None or kind != old.WhichOneof("action"):
        yield Difference("instruction", "")
        return
    one, two = getattr(old, kind), getattr(new, kind)
    changed = [
        field.name
        for field in two.DESCRIPTOR.fields
        if getattr(one, field.name) != getattr(two, field.name)
    ]
    if not changed:
        yield Difference("instruction", "")
    for name in changed:
        before, after = getattr(one, name), getattr(two, name)
        if name == "timestamp":
            yield Difference("option", "SOURCE_DATE_EPOCH", str(before), str(after))
        elif name == "data":
            yield Difference("instruction", "the text of the file", _text(before), _text(after))
        else:
            subject = _FIELDS.get(name, name)
            yield Difference("instruction", subject, _text(before), _text(after))


_FIELDS = {
    "src": "source",
    "dest": "destination",
    "owner": "owner",
    "mode": "mode",
    "modeStr": "mode",
    "include_patterns": "included paths",
    "exclude_patterns": "excluded paths",
}


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, int)):
        return str(value)
    return " ".join(str(value).split())
