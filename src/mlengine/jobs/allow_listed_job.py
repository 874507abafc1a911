"""A job class that runs this platform's tasks and nothing else.

Whoever can write to the queue could otherwise name any function of any module, as the job itself,
as one of its callbacks, or as a web hook.
"""

from collections.abc import Mapping
from typing import Any

from rq.job import Job

from mlengine.stores.queue.jobs import TRAIN_TASK

ALLOWED_TASKS = frozenset({TRAIN_TASK})


class TaskRefused(Exception):
    """The queue held a job that isn't one of this platform's tasks."""


class AllowListedJob(Job):
    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        """Read a job from the queue without its callbacks, hooks and repeats."""
        super().restore(raw_data)
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        self.webhooks = []
        self.repeats_left = None

    def perform(self) -> Any:
        if self.func_name not in ALLOWED_TASKS or self.instance is not None:
            raise TaskRefused(f"not a task of this platform: {str(self.func_name)[:100]}")
        return super().perform()
