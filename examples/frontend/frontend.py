"""A small frontend: builds an image from a few lines of TOML.

    # syntax=registry.example/packfile
    from = "docker.io/library/busybox"
    cmd = ["cat", "/greeting"]

    [copy]
    "hello.txt" = "/greeting"

    [run]
    count = "wc -c < /greeting > /count"

`from` names the base image, `copy` files of the build context and where they go, `run` commands in
their order, `cmd` what the image does. `--build-arg NAME=value` sets variables for the commands.
"""

from __future__ import annotations

import tomllib

from msgspec.structs import replace

from croze import llb
from croze.errors import InvalidRequest
from croze.gateway import guest
from croze.image import config as images

DEFAULT_FILENAME = "Packfile"


async def build(gateway: guest.Gateway) -> guest.Result:
    """See `guest.main`."""
    name = gateway.opts.get("filename", DEFAULT_FILENAME)
    source = llb.local("dockerfile", include=[name], session=gateway.session)
    text = await (await gateway.solve(source)).read_file(name)
    try:
        pack = tomllib.loads(text.decode())
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}") from error
    print(f"packing {name}")
    image = await gateway.resolve_image(pack["from"])
    state = llb.image(image.ref)
    context = llb.local("context", session=gateway.session)
    for path, target in pack.get("copy", {}).items():
        state = state.file(llb.copy(context, path, target), name=f"copy {path}")
    for step, command in pack.get("run", {}).items():
        state = state.run(["/bin/sh", "-c", command], env=arguments(gateway), name=step).root
    config = images.parse(image.config)
    settings = replace(config.config, cmd=tuple(pack.get("cmd", ())))
    metadata = {"containerimage.config": images.marshal(replace(config, config=settings))}
    return guest.Result(await gateway.solve(state), metadata=metadata)


def arguments(gateway: guest.Gateway) -> dict[str, str]:
    """The build's arguments, for the commands."""
    prefix = "build-arg:"
    return {k.removeprefix(prefix): v for k, v in gateway.opts.items() if k.startswith(prefix)}


if __name__ == "__main__":
    guest.main(build)
