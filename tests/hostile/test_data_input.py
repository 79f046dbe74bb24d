"""Images, texts and stored configurations made to hurt: named before training, never waited for."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile_cases import watched
from PIL import Image

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.finished_run import read_trusted_config
from autolrs_recipes.data.images.decoding import decode
from autolrs_recipes.data.images.image_folder import ImageFolder
from autolrs_recipes.data.pretraining.sentence_splitting import split_sentences
from autolrs_recipes.data.text_lines import MAX_LINE_BYTES, count_lines, file_problems, read_lines


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def folder(root: Path) -> ImageFolder:
    return ImageFolder(
        root=str(root),
        image_size=16,
        choose_fraction=0.3,
        choose_max_examples=9,
        check_images=99,
        background="white",
        on_error="fail",
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place in ("train/cat", "train/dog", "val/cat", "val/dog"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / place / f"{number}.png")
    return tmp_path


class TestImages:
    """Files in a class folder."""

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (png(100_000, 100_000), "more than 89,478,485 pixels"),
            (png(2**31 - 1, 2**31 - 1), "pixels"),
            (png(20, 20), "x.png ("),
            (b"\x89PNG\r\n\x1a\n", "x.png ("),
            (b"GIF89a" + b"\xff" * 20, "x.png ("),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
            (b"%PDF-1.4", "not an image"),
            (b"\0" * 10_000, "not an image"),
        ],
    )
    def test_they_are_named(self, root: Path, content: bytes, told: str) -> None:
        (root / "train" / "cat" / "x.png").write_bytes(content)
        with watched():
            (problem,) = folder(root).problems()
        assert told in problem
        assert "1 in data.root=" in problem

    @pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
    def test_what_is_no_file_is_not_waited_for(self, root: Path, make: Callable[[Path], None]) -> None:
        make(root / "val" / "dog" / "x.png")
        with watched():
            (problem,) = folder(root).problems()
        assert "val/dog/x.png (" in problem

    def test_links_that_lead_back_are_no_endless_folder(self, root: Path) -> None:
        for name in ("a", "b", "c"):
            (root / "train" / "cat" / name).symlink_to(root / "train", target_is_directory=True)
        with watched():
            (problem,) = folder(root).problems()
        assert "leads back" in problem

    @pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "LA", "RGBA", "YCbCr"])
    def test_other_colours_become_rgb(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / "image.tif"
        Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(path)
        image = decode(path)
        assert image.mode == "RGB"
        assert np.asarray(image).min() >= 250

    def test_sixteen_bits_keep_their_shades(self, tmp_path: Path) -> None:
        """Pillow's own conversion makes nearly all of it white."""
        shades = np.arange(0, 2**16, 2**8, dtype=np.uint16).reshape(16, 16)
        Image.fromarray(shades).save(tmp_path / "image.png")
        assert np.asarray(decode(tmp_path / "image.png"))[..., 0].tolist() == (shades >> 8).tolist()

    def test_pixels_without_a_range_are_refused(self, root: Path) -> None:
        Image.fromarray(np.full((8, 8), 1e9, dtype=np.float32)).save(root / "val" / "cat" / "x.tif")
        (problem,) = folder(root).problems()
        assert "val/cat/x.tif (pixels of mode F" in problem

    def test_of_a_moving_image_the_first_frame(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (8, 8), (shade, shade, shade)) for shade in (10, 200)]
        frames[0].save(tmp_path / "image.png", save_all=True, append_images=frames[1:])
        assert np.asarray(decode(tmp_path / "image.png")).max() == 10

    def test_a_wrong_ending_does_no_harm(self, root: Path) -> None:
        Image.new("RGB", (20, 20)).save(root / "train" / "cat" / "y.png", format="JPEG")
        assert folder(root).problems() == []


class TestTexts:
    """Text files."""

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
    def test_what_is_no_file_is_not_waited_for(self, tmp_path: Path, make: Callable[[Path], None]) -> None:
        make(tmp_path / "text")
        with watched():
            (problem,) = file_problems("data.files", str(tmp_path / "text"), "text")
        assert "is not one" in problem

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"one\ntw\0o\n", "NUL bytes, but line 2"),
            (b"x" * (MAX_LINE_BYTES + 1), "line 1 of"),
            ("käse\n".encode("latin-1"), "must be UTF-8, but line 1"),
            ("one two\nthree\n".encode("utf-16-le"), "looks like UTF-16LE without a byte order mark: iconv"),
            ("one two\nthree\n".encode("utf-16-be"), "looks like UTF-16BE without a byte order mark: iconv"),
            ("one\ntwo\n".encode("utf-16")[:-1], "names, UTF-16, but"),
            ("o\0ne\n".encode("utf-16"), "NUL bytes, but line 1"),
            (("x" * (MAX_LINE_BYTES + 1)).encode("utf-16"), "line 1 of"),
            (gzip.compress(b"one\ntwo\n" * 999, mtime=0)[:-9], "compressed file must be whole"),
            (gzip.compress(b"one\ntwo\n" * 999, mtime=0)[:40] + b"x" * 40, "compressed file must be whole"),
            (b"\x1f\x8b no gzip at all", "compressed file must be whole"),
            (bz2.compress(b"one\ntwo\n" * 999)[:-9], "compressed file must be whole"),
            (b"BZh9 no bzip2 at all", "compressed file must be whole"),
            (lzma.compress(b"one\ntwo\n" * 999)[:-9], "compressed file must be whole"),
            (lzma.compress(b"one\ntwo\n" * 999)[:40] + b"x" * 40, "compressed file must be whole"),
            (gzip.compress(b"\0" * (64 << 20), mtime=0), "1,048,576 bytes at most, but line 1"),
            (b"lone \xed\xa0\x80 surrogate\n", "must be UTF-8, but line 1"),
        ],
    )
    def test_lines_are_named(self, tmp_path: Path, content: bytes, told: str) -> None:
        (tmp_path / "text").write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            list(read_lines(tmp_path / "text"))
        assert told in str(caught.value)

    def test_byte_order_mark_and_line_ends_of_other_systems(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_bytes(
            b"\xef\xbb\xbfone\r\ntwo\x85\xc2\x85\xe2\x80\xa8three\n".replace(b"\x85\xc2", b"\xc2")
        )
        assert list(read_lines(tmp_path / "text")) == ["one", "two\x85\u2028three"]

    @pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    def test_compressed_and_marked_text_is_read_whatever_its_name(
        self, tmp_path: Path, pack: Callable[[bytes], bytes], encoding: str
    ) -> None:
        text = "käse\r\n\n\u2028zwei \u0a0a\n\U0001f9c0 ende"
        (tmp_path / "text").write_bytes(pack(text.encode(encoding)))
        assert list(read_lines(tmp_path / "text")) == ["käse", "", "\u2028zwei \u0a0a", "\U0001f9c0 ende"]
        assert count_lines(tmp_path / "text") == 4
        assert file_problems("data.source", str(tmp_path / "text"), "text") == []
        (tmp_path / "text").write_bytes(pack(b""))
        assert count_lines(tmp_path / "text") == 0
        assert "is empty" in file_problems("data.source", str(tmp_path / "text"), "text")[0]

    @pytest.mark.parametrize("part", ["x", ". ", "(((", "a.b ", "\u3002", "e.g. "])
    def test_a_line_of_a_million_characters_is_split_in_time(self, part: str) -> None:
        with watched():
            assert split_sentences(part * (1_000_000 // len(part)))


class TestStoredConfiguration:
    """A run's config.yaml that somebody else made."""

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "aliases"),
            ("[" * 100_000, "levels deep"),
            ("a: " + "{a: " * 5_000, "levels deep"),
            ("!!python/object/apply:os.mkdir [exploded]\n", "must be YAML"),
            ("a: !!binary aGVsbG8=\n", "must be"),
            ("a: 2020-01-01\n", "must be"),
            ("\0", "must be YAML"),
            ("x: 1\n" * 300_000, "more than 262,144 bytes"),
            ("1: 2\n", "must be a group"),
            ("a: 1\na: 2\n", "must be"),
        ],
    )
    def test_it_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "config.yaml").write_text(text)
        with watched(), pytest.raises(ConfigError) as caught:
            read_trusted_config(RunDirectory(tmp_path))
        assert told in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_bytes(b"a: \xff\xfe")
        with pytest.raises(ConfigError, match="must be YAML"):
            read_trusted_config(RunDirectory(tmp_path))
