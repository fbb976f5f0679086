#!/usr/bin/env bash
# Regenerate the Python of src/croze/api (messages, services, type stubs) from the .proto files.
# With an argument, write the tree below that folder instead, for comparison.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath "${1:-src}")
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd src
../.venv/bin/python -m grpc_tools.protoc -I . -I "$site" \
  --python_out="$out" --grpc_python_out="$out" \
  --plugin=protoc-gen-mypy=../.venv/bin/protoc-gen-mypy \
  --plugin=protoc-gen-mypy_grpc=../.venv/bin/protoc-gen-mypy_grpc \
  --mypy_out="readable_stubs,quiet:$out" --mypy_grpc_out="quiet:$out" \
  croze/api/*.proto
# gRPC's library is not loaded for its names (src/croze/rpc/library.py).
sed -i -e 's/^import grpc$/from croze.rpc.library import grpc/' -e '/^import warnings$/d' \
  -e '/^GRPC_GENERATED_VERSION = /,/^    )$/d' "$out"/croze/api/*_pb2_grpc.py
