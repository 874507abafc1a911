"""Replays every prediction of the platform in a folder; prints the counts as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.platforms import NOW, settings

from mlengine.bootstrap.platform import build_platform
from mlengine.stores.audit.filter import AuditFilter


def main(folder: str) -> None:
    platform = build_platform(settings(Path(folder)))
    summary = platform.replay.replay_many(
        AuditFilter(), sample=None, seed=0, check_upstream=False, actor="other", now=NOW
    )
    print(json.dumps(summary.counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
