"""How the allocator of Polars treats memory that was freed."""

import os

# Read by the jemalloc in it as it is loaded. Ten seconds are jemalloc's own default, of which
# Polars makes half a second: for each batch the system would have to clear all its pages anew.
# With one arena, what one thread has freed serves the others.
_VARIABLE, _OPTIONS = "_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,narenas:1"


def keep_freed_memory() -> None:
    """Have this process keep what it frees for ten seconds; before it loads Polars.

    Where the variable is set, that holds.
    """
    os.environ.setdefault(_VARIABLE, _OPTIONS)
