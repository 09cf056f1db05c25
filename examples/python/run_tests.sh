#!/bin/sh
# Sets up what the tests need under target/, and runs them. PLANARIA_BIN names the binary.
set -eu
here=$(dirname "$0")
PLANARIA_BIN=$(realpath "${PLANARIA_BIN:-$here/../../target/release/planaria}")
export PLANARIA_BIN
cd "$here"
venv=../../target/python-venv
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
"$venv/bin/python" generate.py
exec "$venv/bin/python" test_python.py "$@"
