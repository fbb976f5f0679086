"""Looking into a build while it is held: a container on the result or on the step that failed, at
a terminal (the monitor) or for an editor (`dap/`, the Debug Adapter Protocol).

Nothing here builds: it gets a `Bridge` of the client's held build, has its result evaluated and
opens containers on what came of it. What buildx shows is shown in its words.
"""
