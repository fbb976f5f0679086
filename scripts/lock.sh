#!/usr/bin/env bash
# Resolve pyproject.toml into requirements.lock: every version and its hashes, no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/pip" install -q uv
"$tool/bin/uv" pip compile pyproject.toml --extra dev --extra clouds --python-version 3.11 --universal \
  --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock
