"""One update of what monitoring shows: `python -m mlengine.jobs.monitoring`."""

import sys

from mlengine import config
from mlengine.config.logging import configure_logs
from mlengine.errors import MlengineError
from mlengine.stores.system.garbage_collection import collect_less_often


def main() -> None:
    """Take in what has come; exit code 1 where a part of it failed, which its lines say."""
    collect_less_often()
    try:
        settings = config.load_from_environment()
        configure_logs(settings)
        from mlengine.bootstrap.platform import build_platform  # noqa: PLC0415 - after a bad setting

        platform = build_platform(settings)
        report = platform.updates_of_all_lines().run(platform.control.clock())
    except MlengineError as error:
        sys.exit(f"mlengine: {error}")
    sys.exit(int(report.has_failed))


if __name__ == "__main__":
    main()
