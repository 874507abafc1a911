"""How many connections a worker may have, by how many files the system lets it open."""

import logging
import resource

from mlengine.errors import CannotStart

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 1000
_FEWEST_CONNECTIONS = 16
# Of a worker itself: the database, the queue server, the model, the bars, the upstream.
_OTHER_FILES = 128


def connections_allowed() -> int:
    """The limit of this process and its children is raised where the system lets it be.

    Raises CannotStart where there is no room for a few connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _MOST_CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return _MOST_CONNECTIONS
    allowed = soft - _OTHER_FILES
    so_many = f"a process may open {soft} files (ulimit -n)"
    if allowed < _FEWEST_CONNECTIONS:
        least = _FEWEST_CONNECTIONS + _OTHER_FILES
        raise CannotStart(f"{so_many}, and a web worker needs {least}")
    facts = {"reason": so_many, "connections_a_worker": allowed}
    log.warning("fewer connections than usual", extra=facts)
    return allowed
