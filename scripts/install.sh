#!/usr/bin/env bash
# Install what a task needs, and only what is missing:
#   install.sh python          the locked environment in .venv
#   install.sh runtime         the OCI runtime, from Debian packages
#   install.sh unit            what the unit tests drive
#   install.sh test            registries, clients and peers that the tests drive
#   install.sh bare            what makes bare systems
#   install.sh prefix PREFIX   croze and crozed in PREFIX/bin, with an environment in PREFIX/lib/croze
set -euo pipefail
cd "$(dirname "$0")/.."

unit_packages=(crun runc busybox-static docker-registry git openssh-client openssh-server gpg gpg-agent)
unit_packages+=(iproute2 iptables containernetworking-plugins)

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
  echo "installing Debian packages: ${missing[*]}"
  [ -n "$apt_updated" ] || apt-get update -qq
  apt_updated=1
  # policy-rc.d keeps a package's own service from starting: the tests start what they need.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; fi
  local status=0
  DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return $status
}

# Packages of another Debian suite, unpacked below .cache: $1 suite, the rest packages.
unpack_from_suite() {
  local suite=$1 dir=$PWD/.cache/peers/$1 package missing=
  shift
  for package; do [ -e "$dir/root/usr/share/doc/$package" ] || missing=yes; done
  [ "$missing" ] || return 0
  echo "unpacking $* of Debian $suite into .cache/peers"
  rm -rf "$dir"
  mkdir -p "$dir/lists/partial" "$dir/debs"
  scripts/suite_source.py "$suite" >"$dir/sources.list"
  local apt=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/lists")
  # A mirror that is a snapshot keeps its old date; the folder is root's, so downloads are too.
  apt+=(-o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
  apt-get "${apt[@]}" -qq update
  (cd "$dir/debs" && apt-get "${apt[@]}" -qq download "$@" 2>/dev/null)
  for package in "$dir"/debs/*.deb; do dpkg -x "$package" "$dir/root.tmp"; done
  mv "$dir/root.tmp" "$dir/root"
  rm -rf "$dir/lists" "$dir/debs" "$dir/sources.list"
}

# A package of the npm registry with all that it needs, below .cache: $1 name, $2 version. Nothing of
# it runs while it is installed.
npm_peer() {
  local dir=$PWD/.cache/peers/$1
  [ ! -e "$dir" ] || return 0
  command -v npm >/dev/null || apt_install npm
  echo "installing $1 in .cache/peers"
  rm -rf "$dir.tmp"
  npm install --prefix "$dir.tmp" --no-save --ignore-scripts --no-audit --no-fund --silent "$1@$2"
  mv "$dir.tmp" "$dir"
}

# A virtual environment with a working pip at $1; what an interrupted run left is made anew.
make_venv() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
  "$1/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$1"
}

pip_install() {
  local venv=$1
  shift
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --root-user-action=ignore "$@"
}

# The project's sources without anything that was made from them, at $1.
copy_sources() {
  cp -r pyproject.toml README.md LICENSE bin src "$1"
  find "$1" \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +
}

case "${1:-}" in
  python)
    echo "installing $(grep -c == requirements.lock) Python packages in .venv (about half a minute)"
    make_venv .venv
    pip_install .venv --require-hashes -r requirements.lock
    pip_install .venv --no-deps --no-build-isolation -e .
    # pip compiles what it copies, and an editable project is not copied.
    .venv/bin/python -m compileall -q src/croze
    .venv/bin/python -P scripts/quick_start.py
    ;;
  prefix)
    prefix=${2:?install.sh prefix: say where, for example /usr/local}
    echo "installing croze and crozed in $prefix/bin"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/sources"
    copy_sources "$work/sources"
    grep -oE '^[A-Za-z0-9_.-]+==[^ ;]+' requirements.lock >"$work/constraints"
    make_venv "$prefix/lib/croze"
    pip_install "$prefix/lib/croze" --upgrade -c "$work/constraints" "$work/sources"
    "$prefix/lib/croze/bin/python" -P scripts/quick_start.py
    mkdir -p "$prefix/bin"
    ln -sf ../lib/croze/bin/croze ../lib/croze/bin/crozed "$prefix/bin/"
    command -v crun >/dev/null || command -v runc >/dev/null ||
      echo "the daemon also needs an OCI runtime: apt-get install crun"
    ;;
  runtime)
    command -v crun >/dev/null || command -v runc >/dev/null || apt_install crun
    ;;
  unit)
    apt_install "${unit_packages[@]}"
    ;;
  test)
    apt_install "${unit_packages[@]}"
    apt_install docker.io podman skopeo umoci curl zsh fish
    apt_install uidmap rootlesskit slirp4netns passt fuse-overlayfs
    command -v docker >/dev/null || apt_install docker-cli # a package of its own since Debian 13
    unpack_from_suite trixie docker-buildx docker-compose docker.io
    unpack_from_suite sid docker-buildx cosign
    npm_peer azurite 3.37.0
    ;;
  bare)
    apt_install mmdebstrap
    ;;
  *)
    sed -n '2,9s/^# //p' "$0" >&2
    exit 2
    ;;
esac
