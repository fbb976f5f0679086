FROM base AS other
RUN mkdir -p /data/sub /data/empty && echo inner > /data/file && echo deep > /data/sub/deep && ln -s file /data/link && chown 5:6 /data/file && chmod 0640 /data/file
FROM base AS plain
COPY --from=other /data /d
COPY --from=0 /data/file /data/sub /flat/
COPY --from=base /bin/busybox /bb
COPY --from=side extra /extra
RUN test "$(stat -c '%a %u %g' /d/file)" = "640 5 6" && test "$(readlink /d/link)" = file && test -d /d/empty
RUN test -f /flat/deep && test -f /flat/file && test ! -e /flat/sub && cmp /bb /bin/busybox
RUN test "$(cat /extra)" = side
COPY --chown=app:app one /c1
COPY --chown=app one /c2
COPY --chown=12 one /c3
COPY --chown=12:app one /c4
COPY --chown=root:33 dir /c5
RUN for f in c1=1000:1000 c2=1000:1000 c3=12:12 c4=12:1000 c5/two=0:33 c5=0:33; do \
    test "$(stat -c '%u:%g' /${f%%=*})" = ${f#*=} || { echo $f; stat /${f%%=*}; exit 1; }; done
ARG MODE=u=rwX,go=rX
COPY --chmod=4755 one /m1
COPY --chmod=640 dir /m2
COPY --chmod=$MODE dir /m3
COPY --chmod=a+x,g-r,o= one /m4
RUN test "$(stat -c '%a' /m1)" = 4755 && test "$(stat -c '%a' /m2/two)" = 640 && test "$(stat -c '%a' /m2)" = 640
RUN test "$(stat -c '%a' /m3/two)" = 644 && test "$(stat -c '%a' /m3)" = 755 && test "$(stat -c '%a' /m4)" = 710
COPY --parents dir/deep/three dir/two ./one /p/
RUN test -f /p/dir/deep/three -a -f /p/dir/two -a -f /p/one
COPY --parents dir/./deep/three /p2/
RUN test -f /p2/deep/three && test ! -e /p2/dir
COPY --parents **/three /p3/
RUN test -f /p3/dir/deep/three && test "$(find /p3 -type f | wc -l)" = 1
COPY --parents --from=other /data/./sub /data/file /p4/
RUN test -f /p4/sub/deep -a -f /p4/data/file
COPY --exclude=two --exclude=**/three dir /e1/
RUN test ! -e /e1/two && test ! -e /e1/deep/three && test -f /e1/deep/four
COPY --exclude=* --exclude=!two dir /e2/
RUN test "$(find /e2 -type f)" = /e2/two
COPY --link dir /l/
COPY --link --from=other /data/file /l/new/
COPY --link --chown=9:9 one /l/
RUN test -f /l/two -a -f /l/deep/three && test "$(stat -c '%u:%g' /l/one)" = 9:9 && test "$(stat -c '%u:%g' /l/new/file)" = 5:6
RUN ln -s /l /sym && ln -s nowhere /dangling
COPY one /sym/through
RUN test -f /l/through
COPY dir/t?o dir/deep/[ft]* /w/
RUN test -f /w/two -a -f /w/three -a -f /w/four
WORKDIR /rel
COPY one .
COPY one one ./two/
COPY ["one", "with space"]
RUN test -f /rel/one -a -f /rel/two/one -a -f "/rel/with space"
COPY slink /top
COPY dir/inner-link /inside/
RUN test ! -L /top && test "$(cat /top)" = 1 && test -f /inside/inner-link
COPY dir /whole/
RUN test -L /whole/inner-link
COPY ../../one /clamped
RUN test -f /clamped
ENV DEST=/from/env
COPY one $DEST/
COPY one ${DEST}2
RUN test -f /from/env/one -a -f /from/env2
COPY /dir/deep/.. /dots/
RUN test -f /dots/two
COPY . /all
RUN test -f /all/dir/deep/four
