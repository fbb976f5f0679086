FROM base AS src
RUN mkdir -p /s/real/sub && echo r > /s/real/f && ln -s real /s/lnk && ln -s f /s/real/fl && mkdir -m 0711 /s/real/sub/m && chown 9:9 /s/real/sub && ln -s /s/real /abs
RUN mkdir -m 0700 /exist && echo old > /exist/f && echo tofile > /file && ln -s /exist /dlink && ln -s file /flink
FROM base
RUN mkdir -m 0700 /exist && echo old > /exist/f && echo tofile > /file && ln -s /exist /dlink && ln -s file /flink && ln -s /made/up /dangling
COPY --chown=3:4 dir /newparent/np2/dir
COPY --chown=3:4 one /newp/file
COPY modes /modes
COPY loops /loops
COPY ["sp ace/f [[]1].txt", "/spaces/"]
COPY ["sp ace", "/sp ace/"]
COPY dir /exist
COPY one /dlink/
COPY one /flink
COPY dir/* /star/
COPY . /all/
COPY --from=src /s/lnk /viaLink
COPY --from=src /s/lnk/f /viaLinkF
COPY --from=src /s/lnk/ /viaLinkSlash/
COPY --from=src /s /wholeS
COPY --from=src /s/real/fl /fl
COPY --from=src /abs/sub /abssub
COPY --from=src /s/*l* /wild/
COPY --from=src --chown=app /s/real /chowned
