"""How a process logs, by its settings."""

from mlengine import logs
from mlengine.config.settings import Settings


def configure_logs(settings: Settings, *, is_command: bool = False) -> None:
    """Log to standard error from here on; a command, whose output counts, from WARNING on.

    Starts and stops are logged in every profile, unless LOG_LEVEL is set; the progress that a
    command waits for always is.
    """
    is_chosen = settings.log_level_is_set and not is_command
    logs.configure(
        settings.command_log_level if is_command else settings.log_level,
        json=settings.json_logs,
        lifecycle_level=settings.log_level if is_chosen else "INFO",
    )
