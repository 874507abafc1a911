"""The pages of the project, and their parts: prose, code, tables, anchors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(*A-Z0-9])")


def name_of(page: Path) -> str:
    """From the project's folder on; the id of a page in a test."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return _FENCED.findall(text)


def code(text: str) -> Iterator[str]:
    """Each span and each line of a block, without the line's comment."""
    for _, block in blocks(text):
        for line in block.splitlines():
            yield re.sub(r"(^|\s)#\s.*", "", line).strip()
    for span in _SPAN.findall(_FENCED.sub("", text)):
        yield " ".join(span.split())


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def anchors(text: str) -> set[str]:
    """What links to headings end in, made as GitHub makes it."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", _LINK.sub(r"\1", heading).lower()).replace(" ", "-")
        names.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return names


def sentences(text: str) -> Iterator[str]:
    """Of paragraphs and list items; a span of code counts as one word."""
    for paragraph in _paragraphs(text):
        plain = _SPAN.sub("X", _LINK.sub(r"\1", paragraph))
        yield from (each for each in _SENTENCE_END.split(plain) if re.search(r"\w", each))


def _paragraphs(text: str) -> Iterator[str]:
    lines: list[str] = []
    in_list = False
    for line in map(str.strip, [*_FENCED.sub("\n", text).splitlines(), ""]):
        no_prose = not line or line.startswith(("#", "|", "!"))
        item = _ITEM.match(line)
        if item and line[0].isdigit() and lines and not in_list:
            item = None  # a number that ends a sentence, where the line was broken
        if (no_prose or item) and lines:
            yield " ".join(lines)
            lines = []
        in_list = bool(item) or (in_list and bool(lines))
        if not no_prose:
            lines.append(line[item.end() :] if item else line)
