"""The manifest: how a version came to be, in canonical JSON that carries its own digest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from mlengine.core import serialization
from mlengine.core.evaluation import Bootstrap, Calibration, MetricEstimate, SignRule, Verdict
from mlengine.core.line_names import MODEL_LINE
from mlengine.core.promotion.gate import Decision
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.data_entry import DataEntry
from mlengine.core.versions.first_manifests import FIRST_SCHEMA_VERSION, upgrade

SCHEMA_VERSION = 2
_DIGEST = "manifest_sha256"


class SchemaMismatch(ValueError):
    """A manifest of a schema version that this platform doesn't read; `version` is that one."""

    def __init__(self, schema_version: int) -> None:
        super().__init__(f"a manifest of schema version {schema_version}, not {SCHEMA_VERSION}")
        self.version = schema_version


@dataclass(frozen=True)
class FeatureSetEntry:
    name: str
    version: int
    hash: str
    window_bars: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class LabelEntry:
    """`kind` is `forward_return` or `forward_return_sign` (an exact zero is down).

    `transform` is `raw`, or `cs_zscore` for the z-score among the symbols of the date.
    """

    kind: str
    horizon_bars: int
    delay_bars: int
    transform: str = "raw"


@dataclass(frozen=True)
class RowRange:
    """A range of feature bars, both ends included, and the rows in it."""

    start: datetime
    end: datetime
    rows: int


@dataclass(frozen=True)
class SplitEntry:
    """`purged_rows` lie before the holdout but reach into it, `purged_stop_rows` likewise."""

    test_size: float
    embargo_bars: int
    fit: RowRange
    stop: RowRange
    holdout: RowRange
    purged_rows: int
    purged_stop_rows: int


@dataclass(frozen=True)
class FoldEntry:
    fold: int
    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime
    train_rows: int
    test_rows: int
    purged_rows: int
    best_iteration: int
    metrics: Mapping[str, MetricEstimate]
    calibration: Calibration | None
    sign_rule: SignRule


@dataclass(frozen=True)
class Manifest:
    """`version` and `files` are given by the registry when it publishes.

    `spec` is what was asked for, `as_of` the moment whose bars were taken; both, with bars.parquet
    beside the manifest, are all that a reproduction needs. `holdout_reused_by` counts the earlier
    versions whose holdout shares dates with this one's.

    `metrics`, `calibration`, `sign_rule`, `verdict`, `folds`, `base_rate`, `split` and
    `candidate_*` describe the candidate, which was fitted without the holdout. `served` says
    whether model.txt is that candidate or a refit of its recipe on all rows; `fingerprint` and
    `importances` are those of model.txt, and `trained_through` is the last bar that any of its
    training labels used. `selected_through` is the last bar whose label the gate used to choose
    between models, null when it chose nothing. Where `reproducible` is false, its recipe may
    give other trees each time; it scores the same all the same.
    """

    run_id: str
    actor: str
    created_at: datetime
    as_of: datetime
    spec: TrainSpec
    objective: str
    horizon_bars: int
    label_delay_bars: int
    interval: str
    feature_set: FeatureSetEntry
    label: LabelEntry
    seed: int
    params: Mapping[str, int | float | str | bool]
    num_threads: int
    rounds: int
    early_stopping_rounds: int
    best_iteration: int
    data: DataEntry
    split: SplitEntry
    folds: tuple[FoldEntry, ...]
    metrics: Mapping[str, MetricEstimate]
    calibration: Calibration | None
    sign_rule: SignRule
    bootstrap: Bootstrap
    verdict: Verdict
    holdout_reused_by: int
    base_rate: float
    zero_share: float
    served: str
    trained_through: datetime
    candidate_trained_through: datetime
    selected_through: datetime | None
    importances: Mapping[str, float]
    fingerprint: str
    candidate_fingerprint: str
    libraries: Mapping[str, str]
    gate: Decision
    remarks: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    model: str = MODEL_LINE
    schema_version: int = SCHEMA_VERSION
    reproducible: bool = field(default=True, metadata=serialization.OPTIONAL)

    @property
    def seen_through(self) -> datetime:
        """The last bar used in fitting, stopping, refitting or choosing the served model."""
        return max(self.trained_through, self.selected_through or self.trained_through)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values, NaN and infinities as null; without the digest."""
        return {**serialization.to_plain(self)}  # type: ignore[dict-item]


def dump(manifest: Manifest) -> bytes:
    """The one byte form of a manifest: sorted keys, two spaces, and the digest of the rest."""
    # Read back once, so that an int in a float field has the same form as after `parse`.
    fields = serialization.from_plain(Manifest, manifest.to_dict()).to_dict()
    return _canonical({**fields, _DIGEST: _digest(fields)})


def parse(content: bytes) -> Manifest:
    """The inverse of `dump`; raises ValueError on anything that `dump` would not have written.

    One of schema 1 is read as one of the present schema. Raises SchemaMismatch, also a ValueError,
    for one that a newer platform wrote.
    """
    fields = orjson.loads(content)
    if not isinstance(fields, dict):
        raise ValueError("a manifest is a JSON object")  # noqa: TRY004
    schema_version = fields.get("schema_version")
    if type(schema_version) is int and schema_version != SCHEMA_VERSION and _whole(fields):
        return _parse_older(content, fields, schema_version)
    fields.pop(_DIGEST, None)
    manifest = serialization.from_plain(Manifest, fields)
    if dump(manifest) != content:
        raise ValueError("the manifest differs from its own digest")
    return manifest


def _parse_older(content: bytes, fields: dict[str, object], schema_version: int) -> Manifest:
    if schema_version != FIRST_SCHEMA_VERSION:
        raise SchemaMismatch(schema_version)
    if _canonical(fields) != content:
        raise ValueError("the manifest is not in its one byte form")
    del fields[_DIGEST]
    return serialization.from_plain(Manifest, upgrade(fields))


def _digest(fields: Mapping[str, object]) -> str:
    """The digest of all but the digest itself: the same rule in every schema version."""
    return hashlib.sha256(_canonical({**fields, _DIGEST: ""})).hexdigest()


def _whole(fields: Mapping[str, object]) -> bool:
    return fields.get(_DIGEST) == _digest(fields)


def _canonical(fields: Mapping[str, object]) -> bytes:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(fields, option=options)
