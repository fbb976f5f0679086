"""Links in documents lead somewhere: to a file of the repository, and to a heading in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), *REPO.glob("changes/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")

pytestmark = pytest.mark.sources


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_links_lead_somewhere(document: Path) -> None:
    lost = [link for link in _links(document) if not _leads(document, link)]
    assert not lost


def _links(document: Path) -> Iterator[str]:
    """Those that are no addresses on the web; a paragraph may break within one."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in LINK.findall(text):
        if not re.match(r"[a-z]+:", link):
            yield link


def _leads(document: Path, link: str) -> bool:
    name, _, heading = link.partition("#")
    # An entry of `changes/` is read where CHANGELOG.md is.
    folder = (
        REPO if document.parent.name == "changes" and document.stem != "README" else document.parent
    )
    target = folder / name if name else document
    return target.exists() and (not heading or heading in _anchors(target))


def _anchors(document: Path) -> set[str]:
    """What GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
