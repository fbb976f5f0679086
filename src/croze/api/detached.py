"""What a Solve carries that is to go on when its call ends; see `builds.proto`."""

DETACHED = ("croze-detached", "1")
