#!/usr/bin/env bash
# Every check and every test. Ends with pytest's own closing line.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/ruff format --check -q .
.venv/bin/ruff check -q .
.venv/bin/mypy
exec .venv/bin/python -m pytest -q "$@"
