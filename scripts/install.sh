#!/bin/sh
# `install.sh run|dev`: makes .venv where it isn't there yet or isn't the one of the locks.
# The common case, that nothing is to do, costs one start of its own Python.
.venv/bin/python -I -S scripts/install.py "$1" --check 2>/dev/null && exit 0
python=$(sh scripts/find_python.sh) && exec "$python" scripts/install.py "$1"
