# Owners, shells, variables, predefined arguments.
# flags: --build-arg HTTP_PROXY=http://p:1 --build-arg no_proxy=x --build-arg GIVEN=outside --build-arg BUILDKIT_SANDBOX_HOSTNAME=named --add-host far:10.9.8.7 --ulimit nofile=77:88 --shm-size 2m
ARG GLOBAL=global
ARG GIVEN=default
FROM base AS first
ARG GLOBAL GIVEN
ARG LOCAL=$GLOBAL-local
RUN test "$GLOBAL-$GIVEN-$LOCAL" = global-outside-global-local
RUN test "$HTTP_PROXY-$no_proxy" = http://p:1-x && test -z "$HTTPS_PROXY"
RUN test "$(hostname)" = named && grep '10.9.8.7.*far' /etc/hosts
RUN test "$(ulimit -n)" = 77 && df -k /dev/shm | grep -w 2048
ENV A=1 B=two\ words C="$GLOBAL ${UNSET:-dflt} ${GIVEN%side}"
ENV A=2 D=$A
RUN test "$A $B $C $D" = "2 two words global dflt out 1"
ENV legacy some  value
RUN test "$legacy" = "some  value"
WORKDIR /abs
WORKDIR rel/$A
RUN test "$(pwd)" = /abs/rel/2
USER app
RUN test "$(id -u):$(id -g)" = 1000:1000 && test "$(cat /proc/self/status | grep -c 'CapEff:.0000000000000000')" = 1
WORKDIR /owned/by/app
RUN touch /owned/by/app/x && test "$(stat -c '%u' /owned/by/app)" = 1000
USER 7:8
RUN test "$(id -u):$(id -g)" = 7:8
USER app:0
RUN test "$(id -u):$(id -g)" = 1000:0
USER 1234
RUN test "$(id -u):$(id -g)" = 1234:0
USER root
VOLUME /vol ["/odd"]
RUN test ! -e /vol || test -d /vol
RUN ["/bin/sh", "-c", "test \"$0 $1\" = 'a b'", "a", "b"]
SHELL ["/bin/awk", "BEGIN{print ARGV[1] > \"/shell\"}"]
RUN some words
SHELL ["/bin/sh", "-c"]
RUN test "$(cat /shell)" = "some words"
RUN echo con\
# a comment
tinued \

  > /cont && test "$(cat /cont)" = "continued"
FROM first
ARG GIVEN
RUN test "$GIVEN-$LOCAL-$A" = outside--2 || test "$GIVEN-$LOCAL-$A" = outside-global-local-2
