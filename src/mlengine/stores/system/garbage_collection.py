"""How often Python looks for cycles of objects that nobody needs any more."""

import gc


def collect_less_often() -> None:
    """For a process at its very start: what it then imports lives as long as the process.

    By Python's own thresholds the collector walks over it hundreds of times, for a sixth of the
    time that an application takes to start. Nor shall the objects of a large batch start it: some
    twenty a symbol, in no cycle, which take the place of those of the bar before.
    """
    gc.set_threshold(50_000, 10, 10)
