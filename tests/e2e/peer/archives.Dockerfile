FROM base
ADD t.tar /
ADD t.tar /t2
ADD dir one /mix/
WORKDIR /wd/a/b
ADD t.tar .
USER app
WORKDIR c
COPY one .
ADD one sub/one2
RUN touch /tmp/x
USER root
VOLUME /wd
RUN echo in-volume > /wd/v
COPY one /wd/vv
RUN chown -R app /wd/a; ln -s /wd/a /link; rm -rf /d
RUN find /t2 -name nothing; touch -d '2001-01-01 00:00:00' /t2/d/f
