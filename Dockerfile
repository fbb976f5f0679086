# The daemon and its client in an image that drops in for moby/buildkit: it has the names `buildkitd`, `buildctl`
# and `buildctl-daemonless.sh`, keeps its state in /var/lib/buildkit, and listens at /run/buildkit/buildkitd.sock.
#
#   croze build -t localhost/croze:0.1.0 --load .
#
# BASE may be any Debian from 12 on, or one like it. Where packages come from a mirror or through a proxy, the variables
# that pip and apt know go in as build arguments (PIP_INDEX_URL, http_proxy), and certificates in BASE.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS system
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates crun git iproute2 openssh-client python3 \
 && rm -rf /var/lib/apt/lists/*

FROM system AS packages
ARG PIP_INDEX_URL
ARG PIP_CERT
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
RUN python3 -m venv /opt/croze
COPY pyproject.toml requirements.lock README.md LICENSE /src/
COPY bin /src/bin
COPY src /src/src
RUN grep -oE '^[A-Za-z0-9_.-]+==[^ ;]+' /src/requirements.lock >/constraints \
 && /opt/croze/bin/pip install -q --no-cache-dir --disable-pip-version-check -c /constraints /src

FROM system
COPY --from=packages /opt/croze /opt/croze
RUN ln -s /opt/croze/bin/croze /opt/croze/bin/crozed /usr/local/bin/ \
 && ln -s crozed /usr/local/bin/buildkitd && ln -s croze /usr/local/bin/buildctl \
 && ln -s croze /usr/local/bin/buildctl-daemonless.sh
ENV BUILDKIT_SETUP_CGROUPV2_ROOT=1
VOLUME /var/lib/buildkit
ENTRYPOINT ["buildkitd"]
