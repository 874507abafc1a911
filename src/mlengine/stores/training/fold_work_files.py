"""The work of a training's folds as files: binned rows as LightGBM writes them, and row numbers."""

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import lightgbm as lgb
import numpy as np
import orjson

from mlengine.core.boosting.binning import SharedBins, translated_lightgbm_errors
from mlengine.core.boosting.model import FittedModel, LightGBMConfig, fingerprint
from mlengine.core.training.fold_work import FitRows, FoldWork
from mlengine.stores.system import array_files
from mlengine.stores.system.atomic_files import atomic_replacement, translated_os_errors
from mlengine.stores.system.strict_files import DamagedFile
from mlengine.stores.training.fold_files import FoldFiles

BINS_FILE, ROWS_FILE = "bins.bin", "rows.npz"


def write_work(files: FoldFiles, run_id: str, work: FoldWork) -> None:
    """Share the work of a run's folds; the rows come last, so that with them all is there.

    Raises ArtifactsUnavailable, or RegistryUnavailable.
    """
    folder = files.new_folder(run_id)
    with translated_os_errors(), translated_lightgbm_errors():
        work.bins.rows.save_binary(str(folder / BINS_FILE))
        with atomic_replacement(folder / ROWS_FILE) as aside:
            aside.write_bytes(_rows(work, _digest(folder / BINS_FILE)))
    files.share(run_id, (BINS_FILE, ROWS_FILE))


def read_work(files: FoldFiles, run_id: str) -> FoldWork | None:
    """The work of a run's folds; None where it is there no longer, or for another LightGBM.

    Raises DamagedFile, ArtifactsUnavailable or RegistryUnavailable.
    """
    content = files.read(run_id, ROWS_FILE)
    if content is None:
        return None
    arrays = array_files.from_archive(content)
    facts = orjson.loads(arrays["facts"].tobytes())
    if facts["lightgbm"] != version("lightgbm"):
        return None
    config = LightGBMConfig(**facts["config"])
    with files.opened(run_id, BINS_FILE) as path:
        if path is None:
            return None
        if _digest(Path(path)) != facts["sha256"]:
            raise DamagedFile("the binned rows are others than were written")
        with translated_lightgbm_errors():
            rows = lgb.Dataset(path, params=config.lightgbm_params()).construct()
    folds = tuple(
        FitRows(*(arrays[f"{part}_{fold}"].astype(np.int64) for part in ("fit", "early_stop")))
        for fold in range(1, facts["folds"] + 1)
    )
    return FoldWork(config, SharedBins(tuple(facts["names"]), rows), folds)


def dump_fitted(fitted: FittedModel) -> bytes:
    """A fold's model, for the table."""
    return orjson.dumps(asdict(fitted))


def parse_fitted(content: bytes) -> FittedModel:
    """The inverse of `dump_fitted`; raises DamagedFile."""
    try:
        fitted = FittedModel(**orjson.loads(content))
    except (ValueError, TypeError):
        raise DamagedFile("it is no model of a fold") from None
    if fingerprint(fitted.text) != fitted.fingerprint:
        raise DamagedFile("the model of a fold is another than its fingerprint says")
    return fitted


def _rows(work: FoldWork, sha256: str) -> bytes:
    facts = {
        "config": asdict(work.config),
        "folds": len(work.folds),
        "lightgbm": version("lightgbm"),
        "names": work.bins.names,
        "sha256": sha256,
    }
    arrays: dict[str, array_files.Array] = {"facts": np.frombuffer(orjson.dumps(facts), np.uint8)}
    for fold, rows in enumerate(work.folds, start=1):
        arrays[f"fit_{fold}"] = rows.fit.astype(np.int32)
        arrays[f"early_stop_{fold}"] = rows.early_stop.astype(np.int32)
    return array_files.to_archive(arrays)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
