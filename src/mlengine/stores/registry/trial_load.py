"""The first load of a model's text, in a process that may die of it; the verdict is remembered.

LightGBM trusts its text: one whose digests were computed anew can kill or hang whoever loads it.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mlengine.core.boosting.text_shape import require_model_text
from mlengine.core.versions.layout import MODEL_FILE
from mlengine.errors import ArtifactCorrupt

_SECONDS = 30.0  # LightGBM alone takes one to be imported, on a busy machine several
_MOST_REFUSED = 1_000
_CHILD = """
import sys
import numpy as np
from mlengine.core.boosting.model import Scorer
scorer = Scorer.from_text(sys.stdin.buffer.read().decode())
width = len(scorer.feature_names)
for value in (0.0, float("nan"), 1e300, -1e300):
    row = np.full(width, value)
    scorer.score_row(row)
    scorer.score(row[np.newaxis, :])
    scorer.contributions(row[np.newaxis, :])
"""
_refused: dict[str, str] = {}


def require_loadable(
    directory: Path, version: str, digest: str, text: bytes, features: Sequence[str]
) -> None:
    """Raises ArtifactCorrupt for a text that could harm this process; tried once a digest."""
    if _mark(directory, digest).exists():
        return
    if digest not in _refused:
        refusal = _refusal(text, features)
        if refusal is None:
            record_loadable(directory, digest)
            return
        if len(_refused) >= _MOST_REFUSED:
            _refused.clear()
        _refused[digest] = refusal
    raise ArtifactCorrupt(version, f"{MODEL_FILE} is not a LightGBM model: {_refused[digest]}")


def record_loadable(directory: Path, digest: str) -> None:
    """The text with this digest was loaded and scored with; what can't be noted is tried again."""
    mark = _mark(directory, digest)
    with suppress(OSError):
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(mode=0o600)


def _mark(directory: Path, digest: str) -> Path:
    """An empty file beside the folder of the versions, which holds versions alone."""
    return directory.with_name(f".{directory.name}-loadable") / digest


def _refusal(text: bytes, features: Sequence[str]) -> str | None:
    try:
        require_model_text(text.decode(), features)
        tried = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=text,
            timeout=_SECONDS,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except ValueError as error:
        return str(error)
    except (OSError, subprocess.TimeoutExpired):
        return "it could not be tried within 30 s"
    return None if tried.returncode == 0 else "a process that tried to load it died of it"
