# flags: --allow network.host --allow security.insecure
FROM base
ARG HOST_NET
RUN --network=none test "$(ls /sys/class/net)" = lo
RUN --network=host test "$(readlink /proc/self/ns/net)" = "$HOST_NET"
RUN --network=default test "$(readlink /proc/self/ns/net)" != ""
RUN test "$(hostname)" = buildkitsandbox
RUN --security=sandbox ! mount -t tmpfs tmpfs /tmp 2>/dev/null
RUN --security=insecure mount -t tmpfs tmpfs /tmp && touch /tmp/x && umount /tmp && grep -q "CapEff:.*[1-9a-f]ffffffff\|CapEff:.*f" /proc/self/status
