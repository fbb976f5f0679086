#!/usr/bin/env bash
# Install what a task needs, and only what is missing:
#   install.sh python     the locked environment in .venv
#   install.sh runtime    the OCI runtime, from Debian packages
#   install.sh test       registries, clients and peers that the tests drive
set -euo pipefail
cd "$(dirname "$0")/.."

apt_updated=
apt_install() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "install.sh: these Debian packages are needed, and only root can install them: ${missing[*]}" >&2
    exit 1
  fi
  [ -n "$apt_updated" ] || apt-get update -qq
  apt_updated=1
  echo "installing ${missing[*]}"
  # policy-rc.d keeps a package's own service from starting: the tests start what they need.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; fi
  local status=0
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return $status
}

# A package of another Debian suite, unpacked below .cache: $1 suite, $2 package.
unpack_from_suite() {
  local suite=$1 package=$2 dir=$PWD/.cache/peers/$1
  [ ! -e "$dir/root" ] || return 0
  mkdir -p "$dir/lists/partial" "$dir/debs"
  scripts/suite_source.py "$suite" >"$dir/sources.list"
  local apt=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/lists")
  # A mirror that is a snapshot keeps its old date; the folder is root's, so downloads are too.
  apt+=(-o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
  apt-get "${apt[@]}" -qq update
  (cd "$dir/debs" && apt-get "${apt[@]}" -qq download "$package" 2>/dev/null)
  dpkg -x "$dir"/debs/"$package"_*.deb "$dir/root.tmp"
  mv "$dir/root.tmp" "$dir/root"
  rm -rf "$dir/lists" "$dir/debs" "$dir/sources.list"
}

case "${1:-}" in
  python)
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    ;;
  runtime)
    command -v crun >/dev/null || command -v runc >/dev/null || apt_install crun
    ;;
  test)
    apt_install crun runc busybox-static docker-registry docker.io skopeo umoci git curl openssh-client iproute2
    apt_install containernetworking-plugins iptables
    apt_install uidmap rootlesskit slirp4netns passt fuse-overlayfs
    apt_install gpg gpg-agent openssh-server
    for suite in trixie sid; do unpack_from_suite "$suite" docker-buildx; done
    ;;
  *)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
