# flags: --secret id=tok,env=TOKEN_OUTSIDE --secret id=tmp,src=/etc/hostname
FROM base
RUN --mount=type=secret,id=tok test "$(cat /run/secrets/tok)" = s3 && test "$(stat -c '%a %u %g' /run/secrets/tok)" = "400 0 0"
RUN --mount=type=secret,id=tok,target=/x,mode=0644,uid=5,gid=6 test "$(stat -c '%a %u %g' /x)" = "644 5 6"
RUN --mount=type=secret,target=/etc/tok,required=true test "$(cat /etc/tok)" = s3
RUN --mount=type=secret,source=tok,target=/y test -f /y
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
RUN --mount=type=secret,id=tok,env=TOK test "$TOK" = s3 && test ! -e /run/secrets/tok
RUN --mount=type=secret,id=tok,env=TOK,target=/z test "$TOK" = s3 && test "$(cat /z)" = s3
RUN --mount=type=secret,id=dir/tmp,required=false true
WORKDIR /w
RUN --mount=type=secret,id=tok,target=rel test -f /w/rel
RUN test ! -e /run/secrets && test ! -e /w/rel/x
