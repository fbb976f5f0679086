FROM base AS other
RUN mkdir /data && echo inner > /data/file
FROM base
WORKDIR /work
RUN --mount=target=/ctx test "$(cat /ctx/one)" = 1 && ! touch /ctx/no 2>/dev/null
RUN --mount=type=bind,source=dir,dst=/ctx,rw touch /ctx/yes && test -f /ctx/two
RUN --mount=type=bind,source=dir,target=/ctx test ! -e /ctx/yes
RUN --mount=type=bind,from=other,source=/data/file,target=rel test "$(cat /work/rel)" = inner
RUN --mount=from=base,target=/b --mount=from=other,target=/o test -x /b/bin/busybox -a -f /o/data/file
RUN test -e /work && test ! -s /work/rel
