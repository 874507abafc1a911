"""Write docs/configuration.md and .env.example; `--check` only says whether they are current.

What a variable means stands in src/mlengine/config/env.example, once. Its default and the values
that it takes are asked of `Settings`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mlengine.config import Settings
from mlengine.config.env_reader import EnvReader
from mlengine.config.settings import PROFILES
from mlengine.errors import BadSetting

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mlengine" / "config" / "env.example"
HEAD = """# Configuration

Settings come from the environment, or from `.env` in the folder where the platform is started; the
environment wins. An empty value means unset. A bad value stops the start with one line that names
the variable and the value. A change takes effect at the next start.

`mlengine doctor` lists every setting with its value and where it comes from, and checks what they
lead to.
"""


def pages() -> dict[Path, str]:
    """The generated files, by path."""
    example = SOURCE.read_text(encoding="utf-8")
    return {ROOT / ".env.example": example, ROOT / "docs" / "configuration.md": page(example)}


def page(example: str) -> str:
    """One table for each headed part of the example file."""
    defaults = {profile: _defaults(profile) for profile in PROFILES}
    lines = [HEAD]
    for heading, variables in _parts(example):
        lines += [f"## {heading}\n", "| variable | default | takes | meaning |"]
        lines += ["| --- | --- | --- | --- |"]
        for name, meaning in variables:
            cells = (f"`{name}`", _default(name, defaults), _accepted(name), _linked(meaning))
            lines += [f"| {' | '.join(cells)} |"]
        lines += [""]
    return "\n".join(lines)


def _parts(example: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each heading with its variables and what the comment above each says."""
    for part in example.split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        found = re.findall(r"((?:^# .*\n)+)#?([A-Z_]+)=", body, re.MULTILINE)
        yield heading, [(name, re.sub(r"\n?# ", " ", note).strip()) for note, name in found]


def _defaults(profile: str) -> dict[str, str]:
    reader = EnvReader({"ENV": profile})
    Settings.read(reader)
    here = f"{Path.cwd()}/"
    return {name: text.replace(here, "") for name, text in reader.texts.items()}


def _default(name: str, defaults: dict[str, dict[str, str]]) -> str:
    """That of development, and where another profile has another, that too."""
    usual, *others = ((profile, texts[name]) for profile, texts in defaults.items())
    differing = [each for each in others if each[1] != usual[1] and name != "ENV"]
    said = f"`{usual[1]}`" if usual[1] else "none"
    return "; ".join([said, *(f"{profile} `{text}`" for profile, text in differing)])


def _accepted(name: str) -> str:
    """What the refusal of a value that nothing takes says it should have been."""
    try:
        Settings.from_env({name: "://,-"})
    except BadSetting as refusal:
        choices = refusal.expected.removeprefix("one of ")
        if choices == refusal.expected:
            return choices
        return ", ".join(f"`{choice}`" for choice in choices.split(", "))
    return ""


def _linked(meaning: str) -> str:
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", meaning)


def main(*, check: bool) -> int:
    stale = [path for path, text in pages().items() if not _is_current(path, text)]
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is not current' if check else 'was written'}")
        if not check:
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if check and stale else 0


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
