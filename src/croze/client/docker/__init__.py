"""Docker engines beside the builder, and the Docker CLI's configuration.

An engine, reached by a `connection`, takes images (`load`), has layers that need not be sent
(`layers`) and lacks what only its containerd image store can (`features`).
"""
