#!/usr/bin/env python3
"""Print an apt source line for another Debian suite, made from this machine's own sources.

usage: suite_source.py SUITE
"""

import glob
import re
import sys
from pathlib import Path


def entries() -> "list[tuple[str, str]]":
    """(address, options) of this machine's Debian sources, in both of apt's formats."""
    found = []
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        for block in re.split(r"\n\s*\n", Path(path).read_text()):
            fields = dict(re.findall(r"^([\w-]+):\s*(.+)$", block, re.M))
            if "deb" in fields.get("Types", "").split() and "main" in fields.get("Components", ""):
                key = fields.get("Signed-By", "")
                found.append((fields["URIs"].split()[0], f"[signed-by={key}]" if key else ""))
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
        try:
            text = Path(path).read_text()
        except FileNotFoundError:
            continue
        for options, address in re.findall(r"^deb\s+(\[[^]]*\])?\s*(\S+)\s+\S+\s+main", text, re.M):
            found.append((address, options))
    return [entry for entry in found if "security" not in entry[0]]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    debian = entries()
    if not debian:
        sys.exit("suite_source.py: no Debian source found on this machine")
    address, options = debian[0]
    print("deb", options, address, sys.argv[1], "main")
