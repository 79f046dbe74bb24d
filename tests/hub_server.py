"""A stand-in for the Hugging Face hub: one data set's files, as far as the datasets library asks for them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

NAME = "someone/pictures"
_COMMIT = "a" * 40


class _Handler(BaseHTTPRequestHandler):
    root: Path

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        api, files = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/"
        if path == api or path.startswith(f"{api}/revision/"):
            self._json(
                {"id": NAME, "sha": _COMMIT, "siblings": [{"rfilename": each} for each in self._names()]}
            )
        elif path.startswith(f"{api}/tree/{_COMMIT}"):
            self._tree(self.root / path.removeprefix(f"{api}/tree/{_COMMIT}").strip("/"))
        elif path.startswith(files):
            self._file(self.root / path.removeprefix(files).partition("/")[2])
        else:
            self._answer(404, b"", {"x-error-code": "RepoNotFound"})

    do_HEAD = do_GET

    def _names(self) -> list[str]:
        return sorted(p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())

    def _tree(self, folder: Path) -> None:
        self._json(
            [
                {
                    "type": "file" if path.is_file() else "directory",
                    "path": path.relative_to(self.root).as_posix(),
                    "size": path.stat().st_size,
                    "oid": hashlib.sha256(path.as_posix().encode()).hexdigest()[:40],
                }
                for path in sorted(folder.iterdir())
            ]
        )

    def _file(self, path: Path) -> None:
        if path.is_file():
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._answer(200, content, {"etag": etag, "x-repo-commit": _COMMIT})
        else:
            self._answer(404, b"", {"x-error-code": "EntryNotFound", "x-repo-commit": _COMMIT})

    def _json(self, content: Any) -> None:
        self._answer(200, json.dumps(content).encode(), {"content-type": "application/json"})

    def _answer(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serve the files below `root` as the data set `NAME`; yield what HF_ENDPOINT must be."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"root": root}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
