#!/usr/bin/env bash
# Run the unit tests on a newer Python and a newer Debian than we develop on, and measure which branches they
# reach. For a bare system: `bare.sh forky scripts/newest.sh`, or `bare.sh trixie scripts/newest.sh` for Python 3.13;
# the measurement is /out/coverage.json.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh unit
scripts/install.sh python
.venv/bin/python --version
# Since Python 3.14 the interpreter tells of branches itself (sys.monitoring), which costs next to nothing.
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 14))'; then
  .venv/bin/python -m pytest -q -p no:cacheprovider "$@" # not in our place: it would be process 1 there
  exit
fi
export COVERAGE_CORE=sysmon
status=0
.venv/bin/python -m coverage run -m pytest -q -p no:cacheprovider "$@" || status=$?
.venv/bin/python -m coverage json -q -o /out/coverage.json
exit "$status"
