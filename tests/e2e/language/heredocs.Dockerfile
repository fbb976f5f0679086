FROM base
RUN <<EOF
echo one > /a
echo "$HOME two" > /b
EOF
RUN test "$(cat /a)" = one && test "$(cat /b)" = "/root two"
RUN <<EOF
#!/bin/awk -f
BEGIN { print "from awk" > "/awk" }
EOF
RUN test "$(cat /awk)" = "from awk"
RUN cat <<-FIRST > /first && cat <<'SECOND' > /second
		tabs go
	FIRST
	stays $HOME
SECOND
RUN test "$(cat /first)" = "tabs go" && test "$(cat /second)" = "	stays \$HOME"
RUN sh -s arg <<EOF
echo "$1 $0" > /args
echo "\$1" >> /args
EOF
RUN grep arg /args
RUN <<EOF cat > /piped
text
EOF
RUN test "$(cat /piped)" = text
RUN 3<<EOF cat <&3 > /three
third
EOF
RUN test "$(cat /three)" = third
ARG who=me
COPY <<EOF <<"RAW" <<-DASH /dir/
hello $who ${who:+yes}
EOF
hello $who
RAW
	$who \$who
	DASH
RUN test "$(cat /dir/EOF)" = "hello me yes" && test "$(cat /dir/RAW)" = 'hello $who' && test "$(cat /dir/DASH)" = 'me $who'
COPY --chmod=0750 --chown=1:2 <<EOF /file
x
EOF
RUN test "$(stat -c '%a %u %g' /file)" = "750 1 2"
ADD <<EOF one /both/
y
EOF
RUN test "$(cat /both/EOF)" = y && test "$(cat /both/one)" = 1 && test "$(stat -c '%a' /both/EOF)" = 644
SHELL ["/bin/sh", "-ec"]
RUN <<EOF
false || touch /ec
EOF
RUN test -e /ec
ONBUILD COPY <<EOF /late
late $HOME
EOF
