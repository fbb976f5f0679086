"""The daemon's configuration: what it is told, and by whom.

`settings` puts the command line (`flags`), the environment, `buildkitd.toml` (`toml`, `toml_keys`)
and the defaults (`default_paths`) together; `sizes` are the amounts and time spans of the file.
"""
