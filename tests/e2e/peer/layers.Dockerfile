FROM base AS one
RUN mkdir -p /out/a/b && echo x > /out/a/b/c && chown -R 5:6 /out && chmod 1777 /out/a
ENV ONE=1
HEALTHCHECK NONE
CMD echo "quoted \"x\""
FROM base
ARG P=1
ARG HTTP_PROXY
ARG Q
COPY --from=one /out /out
COPY --from=one /out/a/b/c /single
COPY --from=one /out/a/b/ /bb/
RUN echo $P $Q > /p
RUN rm -rf /etc/group && mkdir /etc/new
RUN mv /bin/vi /bin/vi2 && chmod 0600 /p
RUN true
RUN rmdir /var && touch /var
RUN rm -rf /out && touch /out
ENTRYPOINT ["/bin/sh"]
HEALTHCHECK CMD ["true"]
EXPOSE 8080
LABEL version=1.0 desc='single $P' d2="double $P"
STOPSIGNAL 9
WORKDIR /
