"""Metrics as Prometheus reads them (text format 0.0.4), named as OpenTelemetry's exporter does.

Written by hand: the metrics are OTLP messages already (`metrics`), and `prometheus-client` would
keep every one of them a second time in a registry of its own, to print these few lines."""

from __future__ import annotations

import gc
import os
import re
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

from croze.telemetry.metrics import Instrument, Labels, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNITS = {"s": "seconds", "By": "bytes"}


def render(metrics: Metrics) -> str:
    """Everything that was measured so far, and what the process uses."""
    lines = [line for one in sorted(metrics.instruments, key=_name) for line in _instrument(one)]
    return "\n".join([*lines, *process()]) + "\n"


def _name(one: Instrument) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", one.name)
    if one.unit in _UNITS:
        name += f"_{_UNITS[one.unit]}"
    return f"{name}_total" if one.kind == "counter" else name


def _instrument(one: Instrument) -> Iterator[str]:
    if not one.values:
        return
    name = _name(one)
    yield f"# HELP {name} {_escaped(one.description)}"
    yield f"# TYPE {name} {one.kind}"
    for labels, value in sorted(one.values.items()):
        all_labels = _with_scope(one, labels)
        if one.kind == "counter":
            yield f"{name}{_braced(all_labels)} {value.count}"
            continue
        below = 0
        for bound, count in zip((*one.bounds, None), value.buckets, strict=True):
            below += count
            limit = "+Inf" if bound is None else f"{bound:g}"
            yield f"{name}_bucket{_braced((*all_labels, ('le', limit)))} {below}"
        yield f"{name}_sum{_braced(all_labels)} {value.sum!r}"
        yield f"{name}_count{_braced(all_labels)} {value.count}"


def _with_scope(one: Instrument, labels: Labels) -> Labels:
    scope = (
        ("otel_scope_name", one.scope.name),
        ("otel_scope_schema_url", one.scope.schema_url),
        ("otel_scope_version", one.scope.version),
    )
    return tuple(sorted((*((key.replace(".", "_"), v) for key, v in labels), *scope)))


def _braced(labels: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def process() -> Iterator[str]:
    """What all of Prometheus's client libraries tell of the process itself."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    virtual, resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[:2]
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(encoding="ascii"), re.MULTILINE)
    started = int(boot[1] if boot else 0) + int(fields[19]) / _TICKS
    yield from _single("process_cpu_seconds_total", "counter", usage.ru_utime + usage.ru_stime)
    yield from _single("process_max_fds", "gauge", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield from _single("process_open_fds", "gauge", len(os.listdir("/proc/self/fd")))
    yield from _single("process_resident_memory_bytes", "gauge", int(resident) * _PAGE_BYTES)
    yield from _single("process_start_time_seconds", "gauge", started)
    yield from _single("process_virtual_memory_bytes", "gauge", int(virtual) * _PAGE_BYTES)
    collections = sum(stat["collections"] for stat in gc.get_stats())
    yield from _single("python_gc_collections_total", "counter", collections)


_HELP = {
    "process_cpu_seconds_total": "Total user and system CPU time spent in seconds.",
    "process_max_fds": "Maximum number of open file descriptors.",
    "process_open_fds": "Number of open file descriptors.",
    "process_resident_memory_bytes": "Resident memory size in bytes.",
    "process_start_time_seconds": "Start time of the process since unix epoch in seconds.",
    "process_virtual_memory_bytes": "Virtual memory size in bytes.",
    "python_gc_collections_total": "Number of times Python's collector ran.",
}


def _single(name: str, kind: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {_HELP[name]}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value!r}"
