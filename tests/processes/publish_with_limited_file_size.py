"""Publishes where a file may hold `most_bytes`; ends with the refusal."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from tests.crashing import put

from mlengine.errors import ArtifactsUnavailable
from mlengine.stores.registry.registry import Registry


def main(most_bytes: str, folder: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), resource.RLIM_INFINITY))
    try:
        put(Registry(Path(folder)), "large")
    except ArtifactsUnavailable as refusal:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        sys.exit(str(refusal))


if __name__ == "__main__":
    main(*sys.argv[1:])
