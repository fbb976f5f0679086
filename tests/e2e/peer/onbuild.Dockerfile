FROM base AS p
ENTRYPOINT ["x"]
CMD ["y"]
ONBUILD ENV OB=1
ONBUILD RUN echo ob > /ob
FROM p
ENTRYPOINT ["z"]
COPY one $OB/
VOLUME /vol
RUN mkdir -p /vol && echo x > /vol/x
EXPOSE 90/tcp 90/udp
