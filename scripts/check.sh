#!/usr/bin/env bash
# The one gate before a commit: style, types, layering, unit tests.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/ruff format --check -q .
.venv/bin/ruff check -q .
.venv/bin/mypy
exec .venv/bin/python -m pytest -q -n auto --maxprocesses 8 -m "not e2e" "$@"
