"""A job class that runs this platform's tasks and nothing else.

Whoever can write to the queue could otherwise name any function of any module, as the job itself,
as one of its callbacks, or as a web hook.
"""

import logging
from collections.abc import Mapping
from typing import Any, cast

from redis.exceptions import ResponseError
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from mlengine.stores.queue.rq_jobs import FIT_FOLDS_TASK, TRAIN_TASK

log = logging.getLogger(__name__)

# What RQ and redis-py make of a job whose fields are of another kind.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ResponseError)
ALLOWED_TASKS = frozenset({TRAIN_TASK, FIT_FOLDS_TASK})


class TaskRefused(Exception):
    """The queue held a job that isn't one of this platform's tasks."""


class AllowListedJob(Job):
    @classmethod
    def fetch(cls, id: str, *args: Any, **options: Any) -> "AllowListedJob":  # noqa: A002 - RQ's
        """As RQ's; one that can't be read is none, which a worker passes over."""
        try:
            return cast("AllowListedJob", super().fetch(id, *args, **options))
        except _MALFORMED as error:
            facts = {"job_id": id[:64], "reason": type(error).__name__}
            log.warning("malformed job passed over", extra=facts)
            raise NoSuchJobError(f"{id[:64]!r} is no job") from None

    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        """Read a job from the queue without its callbacks, hooks and repeats."""
        super().restore(raw_data)
        JobStatus(self.get_status(refresh=False))
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        self.webhooks = []
        self.repeats_left = None

    def perform(self) -> Any:
        if self.func_name not in ALLOWED_TASKS or self.instance is not None:
            raise TaskRefused(f"not a task of this platform: {str(self.func_name)[:100]}")
        return super().perform()
