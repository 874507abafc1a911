"""Door 2, the queue: tasks and the worker that runs them."""
