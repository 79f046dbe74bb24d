"""The documentation: its links lead somewhere, on GitHub and in the site, and the site needs no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from documented import ROOT
from processes import environment

MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ELSEWHERE = re.compile(r"(\w+:|//)")
# What a browser fetches without being asked to; `a` is followed by a person.
FETCHED = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "object": "data",
    "image": "href",
    "use": "href",
}


@dataclass
class Page(HTMLParser):
    """A page of the site."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    followed: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.followed.append(given["href"])
        if FETCHED.get(tag, "") in given:
            self.fetched.append(given[FETCHED[tag]])
        if given.get("style"):
            self.fetched += re.findall(r"url\(['\"]?([^)'\"]+)", given["style"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("mkdocs and mkdocs-material are not installed: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_docs_is_in_the_site(pages: dict[Path, Page], site: Path) -> None:
    folder = ROOT / "docs"
    ours = {path.relative_to(folder).with_suffix(".html") for path in folder.rglob("*.md")}
    assert ours - {path.relative_to(site) for path in pages} == set()


def test_every_link_of_the_site_leads_to_something_in_it(pages: dict[Path, Page], site: Path) -> None:
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # for web servers; its links begin at their root
            continue
        for link in page.followed + page.fetched:
            if ELSEWHERE.match(link):
                continue
            name, anchor = urldefrag(unquote(link))
            target = Path(os.path.normpath(path.parent / name)) if name else path
            found = target.is_file() and target.is_relative_to(site)
            if not found or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_no_page_fetches_anything_from_a_network(pages: dict[Path, Page], site: Path) -> None:
    fetched = {link for page in pages.values() for link in page.fetched if ELSEWHERE.match(link)}
    for style in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        text = style.read_text(encoding="utf-8")
        fetched |= {link for link in re.findall(r"url\(['\"]?([^)'\"]+)", text) if ELSEWHERE.match(link)}
        fetched |= set(re.findall(r"@import[^;]+;", text))
    assert {link for link in fetched if not link.startswith("data:")} == set()


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    text = re.sub(
        r"^```.*?^```|`[^`]+`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for link in re.findall(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"", text):
        given = link[0] or link[1]
        if ELSEWHERE.match(given):
            continue
        name, anchor = urldefrag(unquote(given))
        target = Path(os.path.normpath(page.parent / name)) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield given


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_resolves_on_github(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A head, `b`\n\n[a](#a-head-b) [b](page.md#none) [c](nowhere.md) [d](https://example.org)\n"
    )
    assert list(broken_links(page)) == ["page.md#none", "nowhere.md"]
