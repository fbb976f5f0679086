FROM base AS seed
RUN mkdir /seed && echo seeded > /seed/a
FROM base
RUN --mount=type=cache,target=/c,id=shared echo one > /c/a
RUN --mount=type=cache,target=/d,id=shared,sharing=locked test "$(cat /d/a)" = one
RUN --mount=type=cache,target=/d,id=shared,ro test "$(cat /d/a)" = one && ! touch /d/b 2>/dev/null
RUN --mount=type=cache,target=/s,from=seed,source=/seed,id=seeded test "$(cat /s/a)" = seeded && echo more >> /s/a
RUN --mount=type=cache,target=/s,from=seed,source=/seed,id=seeded test "$(wc -l < /s/a)" -eq 2
RUN --mount=type=cache,target=/m,mode=0770,uid=7,gid=8 test "$(stat -c '%a %u %g' /m)" = "770 7 8"
RUN --mount=type=cache,target=/priv,sharing=private touch /priv/x
ARG WHERE=/var/there
RUN --mount=type=cache,target=${WHERE},id=arg-$WHERE touch /var/there/x
RUN test ! -e /c/a && test ! -e /s/a
