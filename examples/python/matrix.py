#!/usr/bin/env python3
"""Build one image for each version of something, all at once; shared stages are built once.

usage: matrix.py CONTEXT VERSION...
"""

import asyncio
import sys
from collections.abc import Sequence

import croze


async def main(context: str, versions: Sequence[str]) -> None:
    async with croze.connect() as builder:
        builds = {
            version: builder.build(context, tags=[f"app:{version}"], args={"VERSION": version})
            for version in versions
        }
        for version, build in builds.items():
            result = await build
            print(f"app:{version} {result.image_id}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
