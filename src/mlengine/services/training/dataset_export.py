"""The rows behind a version as a Parquet file, for other tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlengine.core.training.row_roles import role_table
from mlengine.errors import CannotWrite
from mlengine.services.training.reproduction import ReproductionService
from mlengine.stores.system import table_files


@dataclass(frozen=True)
class DatasetExport:
    """`rows` counts labelled rows, each of which has a line for every fold that it is part of."""

    version: str
    path: str
    rows: int
    features: int
    folds: int


@dataclass(frozen=True)
class DatasetExportService:
    reproduction: ReproductionService

    def write_parquet(self, version: str, path: Path) -> DatasetExport:
        """Write features, labels, fold and role (see `roles.role_table`) to `path`.

        Raises as `ReproductionService.load_recorded`, and CannotWrite.
        """
        recorded = self.reproduction.load_recorded(version)
        dataset, plan = recorded.dataset, recorded.plan
        try:
            table_files.stream_parquet(role_table(dataset, plan), path)
        except OSError as error:
            raise CannotWrite(str(path), error) from error
        names = dataset.feature_names
        return DatasetExport(version, str(path), dataset.frame.height, len(names), len(plan.folds))
