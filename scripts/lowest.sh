#!/usr/bin/env bash
# Run the unit tests on the lowest versions that pyproject.toml allows, really installed, with Croze as a
# wheel that the lowest setuptools has made. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/lowest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 scripts/lowest.py pyproject.toml requirements.lock >"$work/requirements"
if ! cmp -s "$work/requirements" "$venv/requirements"; then
  echo "installing the lowest versions in $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$work/requirements"
  cp "$work/requirements" "$venv/requirements"
fi
mkdir "$work/sources"
cp -r pyproject.toml README.md LICENSE bin src "$work/sources"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
  --force-reinstall "$work/sources"
"$venv/bin/python" -m pytest -q -p no:cacheprovider "$@"
