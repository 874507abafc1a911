"""The settings of the registry: where versions are, and how many stay."""

import re
from dataclasses import dataclass
from pathlib import Path

from mlengine.config.env_reader import EnvReader
from mlengine.errors import BadSetting

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")


@dataclass(frozen=True)
class RegistrySettings:
    """`url` is None for a folder of this host alone; `keep` 0 keeps all versions.

    `lines_dir` has the files that define model lines.
    """

    url: str | None
    poll_seconds: float
    keep: int
    lines_dir: Path


def registry_settings(read: EnvReader) -> RegistrySettings:
    """Raises BadSetting."""
    url = read.optional("REGISTRY_URL")
    if url is not None and not _BUCKET.fullmatch(url):
        expected = "s3://bucket or s3://bucket/prefix; the AWS_ variables say where it is, and who"
        raise BadSetting("REGISTRY_URL", url, expected)
    return RegistrySettings(
        url,
        read.seconds("REGISTRY_POLL_SECONDS", 1.0),
        read.integer("MODELS_KEEP", 0, 0, 100_000),
        Path(read.text("LINES_DIR", "lines")).absolute(),
    )
