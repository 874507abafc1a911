"""Whether a person's terminal is there: SIGHUP means its end to some, and a reload to others."""

import os


def has_terminal() -> bool:
    """Whether this process has a controlling terminal, and it is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
