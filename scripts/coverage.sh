#!/usr/bin/env bash
# Run all tests, or those that the arguments name, and measure what they reach of lines and branches in every process
# that they start but workers, which end by being killed. The report is .cache/coverage/index.html.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/.cache/coverage
rm -rf "$out"
mkdir -p "$out"
# For processes below: their own files beside ours, and also when they end by a signal or by os._exit.
cat >"$out/coveragerc" <<END
[run]
branch = true
source_pkgs = croze
omit =
    *_pb2.py
    *_pb2_grpc.py
data_file = $out/data
parallel = true
sigterm = true
patch =
    subprocess
    _exit
    execv
[paths]
# Some tests run copies, or see the project in another place.
source =
    src/croze
    */repo/src/croze
    */other/croze
END
status=0
.venv/bin/python -m coverage run --rcfile="$out/coveragerc" -m pytest -q -p no:cacheprovider --timeout=600 "$@" || status=$?
.venv/bin/python -m coverage combine -q --rcfile="$out/coveragerc"
.venv/bin/python -m coverage html -q --rcfile="$out/coveragerc" -d "$out"
.venv/bin/python -m coverage report --rcfile="$out/coveragerc" --format=total
exit "$status"
