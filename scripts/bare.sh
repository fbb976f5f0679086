#!/usr/bin/env bash
# Run a command in a copy of this tree on a bare Debian, as a newcomer has it: minbase, python3, make, git.
#   bare.sh SUITE COMMAND...      for example: bare.sh trixie make demo
# Needs root and mmdebstrap. The bare system is kept below .cache/bare; the copy goes when the command ends, but
# for what it has put into /out: that is in .cache/bare/out then.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=$1
shift
cache=$PWD/.cache/bare
base=$cache/$suite
if [ ! -e "$base" ]; then
  echo "making a bare Debian $suite in .cache/bare"
  mkdir -p "$cache"
  scripts/suite_source.py "$suite" | mmdebstrap --quiet --variant=minbase --skip=check/empty \
    --include=ca-certificates,git,make,python3 --aptopt='Acquire::Check-Valid-Until "false"' \
    "$suite" "$base.tmp" -
  # This machine's certificates: where a proxy sits between, it is the one to be trusted.
  cp /etc/ssl/certs/ca-certificates.crt "$base.tmp/etc/ssl/certs/"
  mv "$base.tmp" "$base"
fi

root=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
cp -a "$base/." "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir "$root/croze" "$root/out"
mkdir -p "$cache/out"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$root/croze"

# A mount and process namespace of its own: what the command leaves running goes with it.
export ROOT=$root OUT=$cache/out
pip=$(env | grep -E '^PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|DEFAULT_TIMEOUT)=' || true)
mapfile -t settings <<<"$pip"
unshare --mount --pid --fork --kill-child bash -euc '
  mount --bind "$ROOT" "$ROOT"
  mount --rbind /dev "$ROOT/dev"
  mount --rbind /sys "$ROOT/sys"
  mount -t proc proc "$ROOT/proc"
  mount -t tmpfs tmpfs "$ROOT/run"
  mount --bind "$OUT" "$ROOT/out"
  # Not chroot: from within one, nobody may make a user namespace.
  cd "$ROOT"
  unset ROOT OUT
  pivot_root . mnt
  exec "$@"
' - chroot . env -i ${settings[@]:+"${settings[@]}"} CI="${CI:-}" HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  sh -c "python3 -c 'import ctypes; ctypes.CDLL(None).umount2(b\"/mnt\", 2)' && cd /croze && exec \"\$@\"" - "$@"
