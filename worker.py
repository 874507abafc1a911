"""The training worker in a checkout: `python worker.py`."""

from mlengine.jobs.__main__ import main

if __name__ == "__main__":
    main()
