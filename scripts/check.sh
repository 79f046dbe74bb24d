#!/bin/sh
# Everything that must hold before a commit: style, types, import directions (in the tests) and behaviour.
set -eu
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
mypy
pytest --numprocesses auto --dist loadscope "$@"
