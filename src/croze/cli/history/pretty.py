"""`inspect` for people: sections of aligned lines, as buildx prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from croze.cli.history.about import About
from croze.cli.history.words import go_seconds, shown_bytes
from croze.gotypes.tabwriter import align_by_tabs
from croze.progress.terminal.cells import printable

LABELS = {
    "Network": "Network",
    "Hostname": "Hostname",
    "ExtraHosts": "Extra Hosts",
    "CgroupParent": "Cgroup Parent",
    "ImageResolveMode": "Image Resolve Mode",
    "MultiPlatform": "Multi-Platform",
    "NoCache": "No Cache",
    "NoCacheFilter": "No Cache Filter",
    "ShmSize": "Shm Size",
    "Ulimit": "Resource Limits",
    "Memory": "Memory",
    "MemorySwap": "Memory Swap",
    "CPUShares": "CPU Shares",
    "CPUPeriod": "CPU Period",
    "CPUQuota": "CPU Quota",
    "CPUSetCPUs": "CPUSet CPUs",
    "CPUSetMems": "CPUSet Mems",
    "CacheMountNS": "Cache Mount Namespace",
    "DockerfileCheckConfig": "Dockerfile Check Config",
    "SourceDateEpoch": "Source Date Epoch",
    "SandboxHostname": "Sandbox Hostname",
}
TOP = {
    "Name": "Name",
    "Ref": "Ref",
    "Context": "Context",
    "Dockerfile": "Dockerfile",
    "VCSRepository": "VCS Repository",
    "VCSRevision": "VCS Revision",
    "Target": "Target",
    "Platform": "Platforms",
    "KeepGitDir": "Keep Git Dir",
}


def pretty(about: About, *, with_ref: bool, debug: bool) -> str:
    """The text of `inspect`. `with_ref`: the reference is shown, since nobody named it."""
    members = about.members
    top = {key: value for key, value in TOP.items() if with_ref or key != "Ref"}
    sections = [
        _section((label, members.get(key)) for key, label in top.items()),
        *_table(members.get("NamedContexts"), ("NAMED CONTEXT", "VALUE")),
        _section(_progress(about)),
        _section(_config(about)),
        *_table(members.get("BuildArgs"), ("BUILD ARG", "VALUE")),
        *_table(members.get("Labels"), ("LABEL", "VALUE")),
        *_listed("Materials:\n", members.get("Materials"), ("URI", "DIGEST")),
        *_listed("Attachments:\n", members.get("Attachments"), ("DIGEST", "PLATFORM", "TYPE")),
    ]
    text = "".join(f"{section}\n" for section in sections) + "\n".join(_failure(about, debug=debug))
    ref = members["Ref"]
    return _harmless(text) + (
        f"Print build logs: croze history logs {ref}\n"
        f"View build in Docker Desktop: docker-desktop://dashboard/build/{about.full_ref}"
    )


def _section(rows: Iterable[tuple[str, object]]) -> str:
    return align_by_tabs("".join(f"{label}:\t{_text(value)}\n" for label, value in rows if value))


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "true" if value is True else str(value)


def _harmless(text: str) -> str:
    """Nothing controls the terminal: records may be anybody's (`history import`)."""
    lines = (line.split("\t") for line in text.split("\n"))
    return "\n".join("\t".join(map(printable, line)) for line in lines)


def _progress(about: About) -> Iterator[tuple[str, object]]:
    members = about.members
    yield "Started", str(members["StartedAt"])[:19].replace("T", " ")
    status = members.get("Status")
    took = go_seconds(int(str(members.get("Duration", 0))) / 1e9)
    yield "Duration", took + (" (running)" if status == "running" else "")
    if status == "failed" and about.failure is not None:
        yield "Error", f"{about.failure.code_name} {about.failure.message}"
    if status == "canceled":
        yield "Status", "Canceled"
    completed, total, cached = (
        int(str(members[f"Num{n}Steps"])) for n in ("Completed", "Total", "Cached")
    )
    share = f"{cached / total * 100:.0f}" if total else "NaN"
    yield "Build Steps", f"{completed}/{total} ({share}% cached)"


def _config(about: About) -> Iterator[tuple[str, object]]:
    config = about.members["Config"]
    assert isinstance(config, dict)
    for key, label in LABELS.items():
        value = config.get(key)
        yield label, shown_bytes(str(value)) if key in ("Memory", "MemorySwap") and value else value
    for pair in config.get("RestRaw", ()):
        yield pair["Name"], pair.get("Value", "") or " "


def _table(rows: object, header: tuple[str, str]) -> list[str]:
    if not isinstance(rows, list) or not rows:
        return []
    lines = ["\t".join(header), *(f"{row['Name']}\t{row.get('Value', '')}" for row in rows)]
    return [align_by_tabs("\n".join(lines)) + "\n"]


def _listed(title: str, rows: object, header: tuple[str, ...]) -> list[str]:
    if not isinstance(rows, list) or not rows:
        return []
    lines = ["\t".join(header)]
    for row in rows:
        materials = (row["URI"], ", ".join(row["Digests"])) if "URI" in row else ()
        lines.append("\t".join(materials or (row["Digest"], row.get("Platform", ""), row["Type"])))
    return [title + align_by_tabs("\n".join(lines)) + "\n"]


def _failure(about: About, *, debug: bool) -> Iterator[str]:
    failed = about.failure
    if failed is None:
        return
    parts = [failed.sources]
    if failed.log:
        parts += [
            "Logs:\n",
            f"> => {failed.step}:\n",
            *(f"> {line}\n" for line in failed.log),
            "\n",
        ]
    yield "".join(parts)
