"""The locks as a bill of materials: `python scripts/sbom.py FILE`, CycloneDX 1.6 in JSON.

`python scripts/sbom.py --licences docs/licences.md` writes the page of licences instead. Both come
from the locks and from what the installed packages say of themselves; nothing is fetched.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.lock": "runs",
    "requirements-postgres.lock": "PostgreSQL",
    "requirements-s3.lock": "object storage",
    "requirements-sample.lock": "sample",
    "requirements-dask.lock": "a Dask cluster",
    "requirements-dev.lock": "development",
}
PINS = re.compile(r"^([a-z0-9][\w.-]*)==(\S+)((?:.*\\\n)(?: +--hash=.*\n?)+)", re.MULTILINE)
# Where the metadata gives no SPDX expression, an inexact one, or isn't installed everywhere.
LICENCES = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "grimp": "BSD-2-Clause",
    "import-linter": "BSD-2-Clause",
    "importlib-metadata": "Apache-2.0",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "lazy-importer": "Apache-2.0",
    "lazy-object-proxy": "BSD-2-Clause",
    "partd": "BSD-3-Clause",
    "polars": "MIT",
    "protobuf": "BSD-3-Clause",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "rq": "BSD-2-Clause",
    "scipy": "BSD-3-Clause",
    "sortedcontainers": "Apache-2.0",
    "ta-lib": "BSD-2-Clause",
    "tzdata": "Apache-2.0",
    "valkey": "MIT",
    "zict": "BSD-3-Clause",
    "zipp": "MIT",
}
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


@dataclass(frozen=True)
class Package:
    name: str
    digests: dict[str, list[str]]  # by version: several where each Python has one of its own
    needed_for: str
    licence: str


def packages() -> list[Package]:
    """All that the locks pin, by name; each belongs to the first lock that has it."""
    pinned: dict[str, tuple[str, dict[str, list[str]]]] = {}
    for lock, needed_for in LOCKS.items():
        for name, version, hashes in PINS.findall((ROOT / lock).read_text()):
            purpose, versions = pinned.setdefault(name, (needed_for, {}))
            if purpose == needed_for:
                versions[version] = re.findall(r"--hash=sha256:(\w+)", hashes)
    return [
        Package(name, versions, purpose, licence_of(name))
        for name, (purpose, versions) in sorted(pinned.items())
    ]


def licence_of(name: str) -> str:
    """Its SPDX expression."""
    if name in LICENCES:
        return LICENCES[name]
    metadata = importlib.metadata.metadata(name)
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or ()]
    found = [CLASSIFIERS[each] for each in classifiers if each in CLASSIFIERS]
    return found[0] if found else metadata.get("License") or "unknown"


def components() -> Iterator[dict[str, object]]:
    for package in packages():
        for version, digests in package.digests.items():
            purl = f"pkg:pypi/{package.name}@{version}"
            yield {
                "type": "library",
                "bom-ref": purl,
                "name": package.name,
                "version": version,
                "purl": purl,
                "scope": "excluded" if package.needed_for == "development" else "required",
                "licenses": [{"expression": package.licence}],
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"https://pypi.org/project/{package.name}/{version}/",
                        "hashes": [{"alg": "SHA-256", "content": each} for each in digests],
                    }
                ],
                "properties": [{"name": "mlengine:needed-for", "value": package.needed_for}],
            }


def bill_of_materials() -> dict[str, object]:
    """The same locks give the same document, to the byte."""
    listed = list(components())
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(listed))
    version = importlib.metadata.version("mlengine")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "mlengine",
                "name": "mlengine",
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": listed,
    }


def page() -> str:
    rows = [
        f"| {each.name} | {', '.join(each.digests)} | {each.licence} | {each.needed_for} |"
        for each in packages()
    ]
    head = """# Licences

The platform itself is under the [MIT license](../LICENSE). This is what the locks pin, with the
licence of each as an SPDX expression, and what first needs it. `scripts/sbom.py` writes this page;
`make sbom` writes the same as CycloneDX, with hashes. [ADR 6](adr/0006-dependencies.md) has the
reason for each direct dependency. The Debian packages of a container's base are not in it.

| package | version | licence | needed for |
| --- | --- | --- | --- |
"""
    return head + "\n".join(rows) + "\n"


def main(arguments: list[str]) -> None:
    if len(arguments) == 2 and arguments[0] == "--licences":
        Path(arguments[1]).write_text(page(), encoding="utf-8")
    elif len(arguments) == 1:
        file = Path(arguments[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(bill_of_materials(), indent=2) + "\n", encoding="utf-8")
    else:
        sys.exit("usage: python scripts/sbom.py FILE | --licences FILE")


if __name__ == "__main__":
    main(sys.argv[1:])
