#!/usr/bin/env python3
"""Build a directory and push the image.

usage: build_and_push.py CONTEXT NAME
"""

import sys

import croze


def main(context: str, name: str) -> None:
    try:
        result = croze.build(context, tags=[name], push=True, args={"VERSION": "1.0"})
    except croze.CrozeError as error:
        sys.exit(f"{context} does not build: {error}")
    for warning in result.warnings:
        print(f"{warning.file}:{warning.line}: {warning.message}", file=sys.stderr)
    print(f"{name}@{result.digest}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
