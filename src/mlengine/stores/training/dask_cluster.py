"""Fits by `lightgbm.dask` on a Dask cluster of the operator's own: the extra [dask].

    this process                       the workers, each with lightgbm, and none with mlengine
    a block of rows ─▶ cut in pieces ──▶ a piece each, until all blocks are there
                                              │ one fit, over sockets of LightGBM's own
    all trees ◀───────────────────────────────┘

A worker that dies leaves the others waiting in LightGBM for ever, which asks a closed socket again
and again. So this process watches the workers, and has those started anew that still wait.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np

from mlengine.core.arrays import Floats
from mlengine.core.boosting.binning import translated_lightgbm_errors
from mlengine.core.boosting.model import LightGBMConfig
from mlengine.errors import TrainingFailed
from mlengine.stores.training.dask_watch import ClusterWatch, end_fits

if TYPE_CHECKING:
    from dask.array import Array
    from distributed import Client

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.2
# What the others have to fail too, before they count as waiting for the first that failed.
_GRACE_SECONDS = 5.0
# What LightGBM's own sockets wait for a worker that says nothing, in minutes.
_SOCKET_MINUTES = 20
_LOGGERS = ("distributed", "distributed.client", "bokeh", "tornado")
# Each worker has as many as Dask gave it.
_OF_THE_WORKER = ("num_threads",)


@dataclass(frozen=True)
class DaskCluster:
    """The cluster behind the scheduler at `address`; see `FitCluster`.

    `connect_seconds` is how long scheduler and workers are waited for, `silence_seconds` how long
    the scheduler may say nothing during a fit.
    """

    address: str
    connect_seconds: float = 30.0
    silence_seconds: float = 60.0

    def fit(
        self,
        config: LightGBMConfig,
        *,
        names: tuple[str, ...],
        blocks: Iterable[tuple[Floats, Floats]],
        meanwhile: Callable[[], None],
    ) -> str:
        """All rounds of `config` as LightGBM text, fitted by all workers there are."""
        _let_lightgbm_find_scikit_learn()
        with self._connected() as client, _thread() as thread:
            watch = ClusterWatch(client, self.silence_seconds)
            watch.begin(wait_seconds=self.connect_seconds)
            fit = thread.submit(_fit, client, watch.workers, config, names, blocks)
            try:
                while not wait([fit], _SECONDS_BETWEEN_LOOKS).done:
                    meanwhile()
                    watch.look()
                if fit.exception():
                    watch.explain_failure()
            finally:
                if not fit.done() or fit.exception():
                    grace = _GRACE_SECONDS if fit.done() else 0.0
                    end_fits(client, watch.keys, grace_seconds=grace)
            return _text_of(fit)

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        """A client of the cluster; what it has there goes with it."""
        from distributed import Client  # noqa: PLC0415 - the extra [dask]

        _keep_one_form_of_log_lines()
        try:
            client = Client(self.address, timeout=self.connect_seconds, set_as_default=False)
        except OSError as error:
            raise TrainingFailed(
                f"the Dask scheduler at {self.address} does not answer within"
                f" {self.connect_seconds:g} s"
            ) from error
        try:
            yield client
        finally:
            client.close(timeout=self.connect_seconds)


def _keep_one_form_of_log_lines() -> None:
    """Dask writes lines of its own form to standard error, from when it is imported on."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


@contextmanager
def _thread() -> Iterator[ThreadPoolExecutor]:
    """For one call, which nobody waits for at the end."""
    thread = ThreadPoolExecutor(1, "cluster-fit")
    try:
        yield thread
    finally:
        thread.shutdown(wait=False)


def _text_of(fit: Future[str]) -> str:
    error = fit.exception()
    if error is None:
        return fit.result()
    log.warning("fit on the cluster failed", exc_info=error)
    if isinstance(error, TrainingFailed):
        raise error
    kind = type(error).__name__
    raise TrainingFailed(
        f"the Dask cluster could not fit the model ({kind}); see the log"
    ) from None


def _fit(
    client: Client,
    workers: tuple[str, ...],
    config: LightGBMConfig,
    names: tuple[str, ...],
    blocks: Iterable[tuple[Floats, Floats]],
) -> str:
    # It writes to the terminal which ports it looks for.
    lgb.register_logger(log, info_method_name="debug", warning_method_name="debug")
    rows, labels = _sent(client, workers, blocks)
    model = lgb.dask.DaskLGBMRegressor(client=client, **_parameters(config))
    with client.as_current(), translated_lightgbm_errors():
        model.fit(rows, labels, feature_name=list(names))
    return str(model.booster_.model_to_string())


def _let_lightgbm_find_scikit_learn() -> None:
    """`core.boosting` hides it from the import of LightGBM, whose module for Dask needs it."""
    if not lgb.compat.SKLEARN_INSTALLED:
        for module in (lgb.compat, lgb.sklearn, lgb.dask):
            importlib.reload(module)
    # It asks for pandas, too, which data frames alone need.
    lgb.dask.PANDAS_INSTALLED = True


def _parameters(config: LightGBMConfig) -> Mapping[str, Any]:
    """Those of a fit in one process; the names of LightGBM win over those of scikit-learn."""
    params = {k: v for k, v in config.lightgbm_params().items() if k not in _OF_THE_WORKER}
    return {**params, "n_estimators": config.rounds, "time_out": _SOCKET_MINUTES}


def _sent(
    client: Client, workers: tuple[str, ...], blocks: Iterable[tuple[Floats, Floats]]
) -> tuple[Array, Array]:
    """The blocks on the workers: each has a part of each, so that all see rows of all times."""
    from dask import array  # noqa: PLC0415 - the extra [dask]

    rows, labels = list[Any](), list[Any]()
    for features, label in blocks:
        for at, worker in enumerate(workers):
            piece = [np.ascontiguousarray(each[at :: len(workers)]) for each in (features, label)]
            if len(piece[0]):
                sent = client.scatter(piece, workers=[worker], direct=True, hash=False)
                for parts, future, values in zip((rows, labels), sent, piece, strict=True):
                    parts.append(array.from_delayed(future, values.shape, values.dtype))
    return array.concatenate(rows), array.concatenate(labels)
