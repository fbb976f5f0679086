#!/usr/bin/env bash
# Build examples/hello with live progress, then run the image.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
toolchain=$PWD/.cache/toolchain
examples/hello/make-toolchain.sh "$toolchain"
secret=$(mktemp)
trap 'rm -f "$secret"' EXIT
printf Hello >"$secret"

run() { printf '\n$ %s\n' "$*"; "$@"; }
run croze build --build-context toolchain="$toolchain" --secret id=greeting,src="$secret" -t hello examples/hello
run croze run hello
run croze run hello "from a container"

printf '\ncroze is at %s; `make install` puts it on the PATH.\n' "$PWD/.venv/bin/croze"
