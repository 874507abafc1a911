"""How often Python looks for cycles of objects that nobody needs any more."""

import gc


def collect_less_often() -> None:
    """For a process at its very start: what it then imports lives as long as the process.

    By Python's own thresholds the collector walks over it hundreds of times, for a sixth of the
    time that an application takes to start.
    """
    gc.set_threshold(10_000, 10, 10)
