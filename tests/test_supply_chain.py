"""What the platform is put together from: locks, their licences, and the bill of materials."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
# Whoever passes the platform on, changed or not, may do so under its own license.
ACCEPTED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "MIT", "PSF-2.0", "Zlib"),
    *("MPL-2.0", "LGPL-3.0-only"),  # unchanged, as a library
}


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("script_sbom", ROOT / "scripts" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_page_of_licences_is_current(sbom: ModuleType) -> None:
    assert (ROOT / "docs" / "licences.md").read_text() == sbom.page()


def test_every_licence_is_known_and_accepted(sbom: ModuleType) -> None:
    for package in sbom.packages():
        ids = set(re.findall(r"[\w.-]+", package.licence)) - {"AND", "OR", "WITH"}
        assert ids, package.name
        assert ids <= ACCEPTED, package.name


def test_the_bill_of_materials_holds_every_pin_with_its_hashes(sbom: ModuleType) -> None:
    components = {
        (each["name"], each["version"]): each for each in sbom.bill_of_materials()["components"]
    }
    for lock in ROOT.glob("requirements*.lock"):
        for name, version in re.findall(
            r"^([a-z0-9][\w.-]*)==(\S+)", lock.read_text(), re.MULTILINE
        ):
            (distribution,) = components[name, version]["externalReferences"]
            assert distribution["hashes"], name


def test_the_bill_of_materials_is_written_the_same_each_time(
    sbom: ModuleType, tmp_path: Path
) -> None:
    texts = []
    for name in ("a", "b"):
        sbom.main([str(tmp_path / name / "sbom.json")])
        texts.append((tmp_path / name / "sbom.json").read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["bomFormat"] == "CycloneDX"


def test_every_direct_dependency_has_its_reason() -> None:
    setup = configparser.RawConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = setup["options"]["install_requires"].splitlines()
    for extra in setup["options.extras_require"].values():
        named += extra.splitlines()
    reasons = (ROOT / "docs" / "adr" / "0006-dependencies.md").read_text()
    for requirement in filter(None, named):
        name = re.split(r"[\[<>=]", requirement)[0]
        assert re.search(rf"\b{re.escape(name)}\b", reasons), name
