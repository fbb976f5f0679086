"""Compose files: services with a `build` become targets.

Only what a build needs is kept: the image, the build, its environment, and secrets. Sources: the
compose specification (05-services.md, build.md) and the order in which compose-go applies its
rules.
"""
