"""`crozed`: wiring, configuration, the gRPC services, lifecycle.

Everything is put together here, visibly: `main` reads the `settings` (`flags`, `config`,
`default_paths`), `server` opens the `engine`, what is there before the daemon answers, and listens;
`opening` brings the `workshop`, what builds are made with. The wiring of both is in `content`,
`executor`, `executing`, `bridging` and `delivering`. `control` and the `*_service` modules answer
calls, `build` is one build from its request to its answer, `recording` what the history has of it.
"""
