"""What the queue may run: JSON in, JSON out, an exception is a failure."""

import os

from mlengine import config, logs
from mlengine.stores.system import spans

LEASE_LOST_CODE = 75


def train(run_id: str) -> dict[str, str | None]:
    """Work on the run `run_id` until it ends; its row says how. Returns the new version, if any."""
    from mlengine.bootstrap.platform import build_platform  # noqa: PLC0415 - Polars loads in the horse only
    from mlengine.bootstrap.traces import record_spans  # noqa: PLC0415 - and so does this

    settings = config.load_from_environment()
    record_spans(settings)
    try:
        with logs.bound_ids(job=run_id):
            logs.lifecycle.info("training started", extra={"pid": os.getpid()})
            main = build_platform(settings)
            line = main.control.runs.get(run_id, now=main.control.clock()).model
            executor = main.of_line(line, must_serve=True).run_executor
            version = executor.execute(run_id, end_process=lambda: os._exit(LEASE_LOST_CODE))
            logs.lifecycle.info("training ended", extra={"pid": os.getpid(), "version": version})
    finally:
        spans.flush()
    return {"run_id": run_id, "version": version}


def fit_folds(run_id: str, helper: str) -> dict[str, str | int]:
    """Fit open folds of the run `run_id`, as the job `helper`; returns how many."""
    from mlengine.bootstrap.control import build_control  # noqa: PLC0415 - as the platform

    control = build_control(config.load_from_environment())
    count = 0
    with logs.bound_ids(job=helper):
        if control.fold_helpers.has_work(run_id):
            from mlengine.bootstrap.training import build_fold_helper  # noqa: PLC0415 - LightGBM

            fold_helper = build_fold_helper(control.fold_helpers)
            count = fold_helper.help(run_id, helper, end_process=lambda: os._exit(LEASE_LOST_CODE))
        logs.lifecycle.info("helper ended", extra={"run_id": run_id, "folds": count})
    return {"run_id": run_id, "folds": count}
