"""Runs one job: `python -m mlengine.jobs.work_horse QUEUE WORKER JOB EXECUTION PARENT`."""

import sys

from mlengine.stores.system.child_process import die_with_parent
from mlengine.stores.system.garbage_collection import collect_less_often


def main(queue: str, worker_name: str, job_id: str, execution_id: str, parent: str) -> None:
    """Rebuild the worker that spawned this process from the queue, and run its job."""
    die_with_parent(int(parent))
    collect_less_often()
    from rq.exceptions import NoSuchJobError  # noqa: PLC0415
    from rq.executions import Execution  # noqa: PLC0415 - first of all, no orphan

    from mlengine import config  # noqa: PLC0415
    from mlengine.config.logging import configure_logs  # noqa: PLC0415
    from mlengine.jobs.allow_listed_job import AllowListedJob  # noqa: PLC0415
    from mlengine.jobs.worker import make_worker  # noqa: PLC0415
    from mlengine.stores.queue.rq_jobs import SERIALIZER  # noqa: PLC0415
    from mlengine.stores.queue.server import resolve_url  # noqa: PLC0415

    settings = config.load_from_environment()
    configure_logs(settings)
    url = resolve_url(settings.redis_url, settings.artifacts_dir)
    worker = make_worker(url, queue, name=worker_name, prepare_for_work=False)
    try:
        job = AllowListedJob.fetch(job_id, connection=worker.connection, serializer=SERIALIZER)
        worker.execution = Execution.fetch(execution_id, job_id, connection=worker.connection)
    except (NoSuchJobError, ValueError):
        sys.exit(f"mlengine: job {job_id} was withdrawn before it began")
    worker.main_work_horse(job, worker.queues[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
