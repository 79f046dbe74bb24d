"""The fingerprint of an image folder sees what is in the files, read once while they stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autolrs_cli.errors import ConfigError
from autolrs_recipes.data import contents
from autolrs_recipes.data.cache import content_hash
from autolrs_recipes.data.contents import hashed, memory_of
from autolrs_recipes.data.images import image_contents


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("AUTOLRS_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def bitmaps(tmp_path: Path) -> Path:
    """Two classes of uncompressed images: all files have one size."""
    for i in range(40):
        place = tmp_path / ("val" if i % 4 == 3 else "train") / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.full((20, 20, 3), 255 * (i % 2), dtype=np.uint8)
        pixels[0, 0] = i
        Image.fromarray(pixels).save(place / f"{i:02}.bmp")
    for name in "ab":
        (tmp_path / "val" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20)).save(tmp_path / "val" / name / "x.bmp")
    return tmp_path


def swap_labels(root: Path) -> None:
    """Give the images of each class the names of the other's."""
    one, other = (sorted((root / "train" / name).iterdir()) for name in "ab")
    for a, b in zip(one, other, strict=False):
        content = a.read_bytes()
        assert len(content) == b.stat().st_size
        a.write_bytes(b.read_bytes())
        b.write_bytes(content)


def age(root: Path) -> None:
    """Date all files back: what changed a moment ago is not remembered."""
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))


def test_swapped_labels_change_the_fingerprint_though_names_and_sizes_stay(folder, bitmaps):
    data = folder(bitmaps)
    before = data.fingerprint()
    assert "fingerprint of names and all contents" in data.describe()
    swap_labels(bitmaps)
    assert folder(bitmaps).fingerprint() != before
    swap_labels(bitmaps)
    assert folder(bitmaps).fingerprint() == before


def test_beyond_the_bound_a_sample_counts_that_is_always_the_same(folder, bitmaps, monkeypatch):
    size = next(bitmaps.rglob("*.bmp")).stat().st_size
    monkeypatch.setattr(image_contents, "ALL_BYTES", 10 * size)
    monkeypatch.setattr(image_contents, "SAMPLE_BYTES", 5 * size)
    data = folder(bitmaps)
    before = data.fingerprint()
    chosen = data._contents.chosen().tolist()
    assert 5 <= len(chosen) < 10
    assert f"the contents of {len(chosen)} of 42 images" in data.describe()
    assert folder(bitmaps)._contents.chosen().tolist() == chosen
    paths = [bitmaps / os.fsdecode(path) for path in data._contents.paths]
    for i, path in enumerate(paths):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert (folder(bitmaps).fingerprint() != before) == (i in chosen)
        path.write_bytes(content)
    assert folder(bitmaps).fingerprint() == before


class TestMemory:
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        seen: list[bytes] = []
        digest = contents._digest
        monkeypatch.setattr(contents, "_digest", lambda path: (seen.append(path), digest(path))[1])
        return seen

    def test_unchanged_files_are_read_once(self, folder, bitmaps, monkeypatch):
        age(bitmaps)
        seen = self.read(monkeypatch)
        first = folder(bitmaps).fingerprint()
        assert len(seen) == 42
        assert folder(bitmaps).fingerprint() == first
        assert len(seen) == 42
        some = next((bitmaps / "train" / "a").iterdir())
        some.write_bytes(some.read_bytes()[:-1] + b"x")
        assert folder(bitmaps).fingerprint() != first
        assert seen[42:] == [os.fsencode(some)]

    def test_a_file_that_changed_a_moment_ago_is_read_again(self, folder, bitmaps, monkeypatch):
        """Within a clock's tick, a second change would look like none."""
        seen = self.read(monkeypatch)
        folder(bitmaps).fingerprint()
        folder(bitmaps).fingerprint()
        assert len(seen) == 84

    @pytest.mark.parametrize("content", [b"", b"PK\3\4 cut", b"\x93NUMPY", None])
    def test_a_damaged_memory_is_no_memory(self, folder, bitmaps, cache, content):
        age(bitmaps)
        first = folder(bitmaps).fingerprint()
        (memory,) = (cache / contents.FOLDER).iterdir()
        memory.write_bytes(memory.read_bytes()[:-50] if content is None else content)
        assert folder(bitmaps).fingerprint() == first

    def test_a_cache_that_cannot_be_written_costs_time_only(self, folder, bitmaps, cache):
        first = folder(bitmaps).fingerprint()
        (cache / contents.FOLDER / "x").parent.mkdir(exist_ok=True)
        for path in (cache / contents.FOLDER).iterdir():
            path.unlink()
        (cache / contents.FOLDER).rmdir()
        (cache / contents.FOLDER).write_text("in the way")
        assert folder(bitmaps).fingerprint() == first

    def test_what_is_no_file_is_not_waited_for(self, tmp_path, cache):
        os.mkfifo(tmp_path / "pipe")
        paths = [os.fsencode(tmp_path / name) for name in ("pipe", "nowhere")]
        assert not hashed(paths, memory_of(cache, "x"), "reading", lambda *_: None).digests.any()


class TestInFull:
    def test_it_names_what_rotted_unseen(self, folder, bitmaps):
        age(bitmaps)
        data = folder(bitmaps)
        data.fingerprint()
        assert "all 42 images were decoded and hashed" in data.verify(lambda *_: None)
        rotten = next((bitmaps / "train" / "b").iterdir())
        with rotten.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x77")
        os.utime(rotten, ns=(10**18, 10**18))
        assert folder(bitmaps).fingerprint() == data.fingerprint()  # nothing tells it
        with pytest.raises(ConfigError, match=rotten.name):
            folder(bitmaps).verify(lambda *_: None)

    def test_it_decodes_all(self, folder, bitmaps):
        (bitmaps / "val" / "a" / "x.bmp").write_text("no image")
        data = folder(bitmaps, check_images=0)
        assert data.problems() == []
        with pytest.raises(ConfigError, match=r"x\.bmp \(not an image\)"):
            data.verify(lambda *_: None)


def test_text_of_many_bytes_is_read_once_and_its_hash_stays_the_same(tmp_path, cache, monkeypatch):
    (tmp_path / "text").write_text("one\n" * 100)
    age(tmp_path)
    files = [tmp_path / "text"]
    plain = content_hash(files)
    monkeypatch.setattr("autolrs_recipes.data.cache.QUIET_BYTES", 100)
    assert content_hash(files, cache=cache) == plain
    monkeypatch.setattr(contents, "_digest", lambda _: pytest.fail("it is read again"))
    assert content_hash(files, cache=cache) == plain
    (tmp_path / "text").unlink()
    with pytest.raises(OSError, match=r"text|No such file"):
        content_hash(files, cache=cache)
