#!/usr/bin/env bash
# Prints the path of a Python with the tests' packages, making the virtual environment under .cache once.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/venv
stamp=$venv/.ready
if [ ! -e "$stamp" ] || [ tests/requirements.txt -nt "$stamp" ]; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install -q --disable-pip-version-check -r tests/requirements.txt >&2
    touch "$stamp"
fi
echo "$PWD/$venv/bin/python"
