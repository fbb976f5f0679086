#!/usr/bin/env python3
"""Build a directory and tell what its steps do; Ctrl-C cancels the build.

usage: watch.py CONTEXT
"""

import asyncio
import sys

import croze


def told(event: croze.Event) -> str:
    match event:
        case croze.StepStarted(step):
            return f"{step.name} ..."
        case croze.StepLog(step):
            return f"  {event.text.rstrip()}"
        case croze.StepDone(step, seconds, cached, error):
            return f"{step.name} {error or ('cached' if cached else f'{seconds:.1f} s')}"
        case croze.BuildWarning(message):
            return f"warning: {message}"
    return ""


async def main(context: str) -> None:
    async with croze.connect() as builder:
        build = builder.build(context)
        async for event in build:
            if line := told(event):
                print(line)
        print((await build).image_id)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        asyncio.run(main(sys.argv[1]))
    except croze.CrozeError as error:
        sys.exit(f"the build failed: {error}")
