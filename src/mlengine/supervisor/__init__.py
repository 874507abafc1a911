"""The supervisor: starts queue server, worker and web server as subprocesses, keeps them alive."""

from mlengine.supervisor.processes import ONE_THREAD, ChildCommands
from mlengine.supervisor.supervisor import train_once, up

__all__ = ["ONE_THREAD", "ChildCommands", "train_once", "up"]
