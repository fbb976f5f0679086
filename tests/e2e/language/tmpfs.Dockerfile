FROM base
RUN --mount=type=tmpfs,target=/t touch /t/x && mount | grep ' /t type tmpfs'
RUN --mount=type=tmpfs,target=/t,size=65536 ! dd if=/dev/zero of=/t/x bs=1k count=100 2>/dev/null
RUN --mount=type=tmpfs,target=/t test ! -e /t/x
