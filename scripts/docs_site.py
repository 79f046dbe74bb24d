"""What mkdocs.yml adds to docs/: the pages at the repository's root, and the source files that pages link to.

In the repository a page links to those with `../`, as GitHub wants it; in the site they lie beside the pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# Where each is found in the site; mkdocs takes a README for an index.
PAGES = {"README.md": "first-run.md", "RESULTS.md": "results.md", "CONTRIBUTING.md": "contributing.md"}
# [label](../path#anchor)
OUTSIDE = re.compile(r"(!?\[[^\]]*\])\(\.\./([^)#\s]+)(#[^)\s]*)?\)")
INSIDE = re.compile(r"\]\((?!\w+:|#)([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root, and every source file that a page links to."""
    texts = {page: _as_in_docs((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
    for page, text in texts.items():
        files.append(File.generated(config, PAGES[page], content=text))
    pages = [*texts.values(), *(file.content_string for file in files.documentation_pages())]
    linked = {match[2] for text in pages for match in OUTSIDE.finditer(text)}
    for name in sorted(linked - set(PAGES)):
        if (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
            files.append(File.generated(config, _copy(name), content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links that leave docs/ lead to what was added; to a folder there is none, its name stays."""
    return OUTSIDE.sub(_inside, markdown)


def _inside(match: re.Match[str]) -> str:
    label, name, anchor = match[1], match[2], match[3] or ""
    if name in PAGES:
        return f"{label}({PAGES[name]}{anchor})"
    if (ROOT / name).is_dir():
        return label[1:-1]
    return f"{label}({_copy(name)})"  # a file that is not there is found by --strict


def _copy(name: str) -> str:
    # As text: a browser shows it, where it would offer to save Python or YAML.
    return f"source/{name}.txt"


def _as_in_docs(text: str) -> str:
    """Return a page of the root with its links as a page of docs/ would have them."""
    there = INSIDE.sub(lambda match: f"](../{match[1]})", text)
    return there.replace("](../docs/", "](")
