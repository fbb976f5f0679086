FROM base
LABEL a=b "c d"="e f" multi="x\
y"
ENV A=1 B="two words" C=$A
ENV old style  value
ARG X=dflt
ARG Y
ENV FROMARG=$X
EXPOSE 80 53/udp 1000-1002/tcp
VOLUME /data ["/v2", "/v3"]
VOLUME ["/j1","/j2"]
WORKDIR /w
WORKDIR sub
COPY one dir/two ./
COPY --chown=1000:33 dir /d/
COPY --chmod=600 one /mode
COPY slink /s
COPY dir /withlinks/
ADD a.tgz /unpacked/
ADD one /added
RUN echo hi > /run && mkdir -p /r/s && chmod 700 /r && ln -s x /r/l && rm /d/two
RUN ["/bin/sh","-c","echo exec > /exec"]
RUN --mount=type=cache,target=/c touch /c/x
USER app:root
RUN touch /tmp/byapp
WORKDIR /byapp
USER 7
HEALTHCHECK --interval=5s --timeout=3s --retries=4 --start-period=1m CMD echo ok
STOPSIGNAL SIGUSR1
SHELL ["/bin/sh","-ec"]
ENTRYPOINT echo shell "form"
CMD ["a","b & c"]
MAINTAINER me <m@e>
ONBUILD RUN echo x
ONBUILD COPY . /x
