#!/bin/sh
# Prints a Python of 3.11 or newer, by running each candidate: a shim may be there and still fail.
# Without any, prints the best guess: scripts/install.py then says what is wrong with it.
for candidate in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
    then
        echo "$candidate"
        exit 0
    fi
done
for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$candidate"
        exit 0
    fi
done
if python3 -c '' 2>/dev/null; then
    echo python3
    exit 0
fi
echo "no Python found: install Python 3.11 or newer" >&2
exit 1
