FROM base AS data
RUN echo data > /data
FROM base AS parent
ONBUILD ARG later=dflt
ONBUILD COPY --from=data /data /got
ONBUILD RUN --mount=from=data,target=/m cat /m/data > "/run-$later"
ONBUILD ADD one /
ONBUILD RUN <<EOF
echo script > /script
EOF
ONBUILD ENV SET=yes
RUN test ! -e /got
FROM parent
RUN test "$(cat /got /run-dflt /one /script | tr '\n' " ")$SET" = "data data 1 script yes"
