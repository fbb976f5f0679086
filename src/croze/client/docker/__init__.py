"""Docker engines beside the builder, and the Docker CLI's configuration.

An engine, reached by a `connection`, takes images (`load`) and has layers that need not be sent
(`layers`).
"""
