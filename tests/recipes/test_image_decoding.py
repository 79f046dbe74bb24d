"""What image files really show: alpha, orientation, more than 8 bits, formats; and what is left out, counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autolrs_cli.contracts import Position
from autolrs_cli.errors import TrainingError
from autolrs_cli.training.loader import TrainLoader, read_all
from autolrs_recipes.data.images.decoding import decode, formats, suffixes
from autolrs_recipes.data.images.streams import Draw, HeldOutImages, TrainImages


def pixels(path: Path, *background: str) -> np.ndarray:
    return np.asarray(decode(path, *background))  # type: ignore[arg-type]


class TestTransparency:
    @pytest.fixture(params=["RGBA", "LA", "PA", "P", "L+key", "RGB+key"])
    def drawn(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        """A black square on nothing: all colours are black, only alpha has the drawing."""
        path = tmp_path / "x.png"
        alpha = Image.new("L", (16, 16), 0)
        alpha.paste(255, (4, 4, 12, 12))
        image = Image.merge("LA", (Image.new("L", (16, 16), 0), alpha))
        if request.param.endswith("+key"):
            mode = request.param.removesuffix("+key")
            clear = 255 if mode == "L" else (255, 0, 0)
            plain = Image.new(mode, (16, 16), clear)
            plain.paste(0 if mode == "L" else (0, 0, 0), (4, 4, 12, 12))
            plain.save(path, transparency=clear)
        elif request.param == "P":
            palette = Image.new("P", (16, 16), 1)
            palette.putpalette([0, 0, 0, 0, 0, 0])
            palette.paste(0, (4, 4, 12, 12))
            palette.save(path, transparency=1)
        elif request.param == "PA":
            path = tmp_path / "x.tif"
            image.convert("RGBA").save(path)
        else:
            image.convert(request.param).save(path)
        return path

    @pytest.mark.parametrize(("background", "shade"), [("white", 255), ("grey", 128)])
    def test_a_drawing_in_alpha_alone_is_seen(self, drawn: Path, background: str, shade: int) -> None:
        found = pixels(drawn, background)
        assert (found[4:12, 4:12] == 0).all()
        assert (found[0] == shade).all()

    def test_opaque_colours_stay_as_they_are(self, tmp_path: Path) -> None:
        colours = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        image = Image.fromarray(colours)
        image.save(tmp_path / "plain.png")
        image.putalpha(255)
        image.save(tmp_path / "alpha.png")
        assert (pixels(tmp_path / "plain.png") == colours).all()
        assert (pixels(tmp_path / "alpha.png", "black") == colours).all()

    def test_the_setting_reaches_the_network(self, folder, image_root):
        for path in (image_root / "val").rglob("*.*"):
            Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(path.with_suffix(".png"))
            if path.suffix != ".png":
                path.unlink()
        bright, dark = (
            HeldOutImages(folder(image_root, background=ground).reader("target"), 8).batch(0)["images"]
            for ground in ("white", "black")
        )
        assert (bright > 2).all()
        assert (dark < -1.5).all()


class TestOrientation:
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_images_stand_upright(self, tmp_path: Path, suffix: str, orientation: int) -> None:
        upright = np.zeros((24, 40, 3), dtype=np.uint8)
        upright[:12, :20] = 255  # its upper left quarter is white
        # How a camera held so would have stored it: the inverse of what EXIF says to do.
        stored = {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright, 1),
            7: upright[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"x.{suffix}"
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
        found = pixels(path).astype(int)
        assert found.shape == upright.shape
        assert np.abs(found - upright).mean() < 10

    def test_broken_metadata_of_a_good_image_do_no_harm(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8), (9, 9, 9)).save(
            tmp_path / "x.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken"
        )
        assert pixels(tmp_path / "x.png").max() == 9


class TestManyBits:
    @pytest.mark.parametrize("brightest", [4095, 65535, 1023])
    @pytest.mark.parametrize("plain", [False, True])
    def test_grey_maps_are_scaled(self, tmp_path: Path, brightest: int, plain: bool) -> None:
        shades = np.linspace(0, brightest, 256).astype(np.uint16).reshape(16, 16)
        body = " ".join(map(str, shades.ravel())).encode() if plain else shades.astype(">u2").tobytes()
        head = f"{'P2' if plain else 'P5'} 16 16 {brightest}\n".encode()
        (tmp_path / "x.pgm").write_bytes(head + body)
        found = pixels(tmp_path / "x.pgm")
        assert np.abs(found[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1
        assert found[-1, -1].tolist() == [255, 255, 255]

    def test_twelve_bits_of_tiff_are_scaled(self, tmp_path: Path) -> None:
        shades = np.linspace(0, 4095, 256).astype(np.uint16)
        pairs = shades.reshape(-1, 2).astype(np.uint32)
        packed = ((pairs[:, 0] << 12) | pairs[:, 1]).astype(">u4").tobytes()
        rows = b"".join(packed[i + 1 : i + 4] for i in range(0, len(packed), 4))
        (tmp_path / "x.tif").write_bytes(tiff(16, 16, 12, rows))
        with Image.open(tmp_path / "x.tif") as image:
            assert image.mode == "I;16"
            assert np.asarray(image).max() == 4095
        found = pixels(tmp_path / "x.tif")
        assert np.abs(found[..., 0].astype(int).ravel() - np.arange(256)).max() <= 1

    def test_sixteen_bits_of_png_and_colour_maps(self, tmp_path: Path) -> None:
        colours = np.random.default_rng(0).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
        (tmp_path / "x.ppm").write_bytes(b"P6 8 8 65535\n" + colours.astype(">u2").tobytes())
        assert np.abs(pixels(tmp_path / "x.ppm").astype(int) - colours / 257).max() <= 1


def tiff(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """A grey TIFF, little-endian, uncompressed, in one strip."""
    entries = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, height),
        (279, 4, len(rows)),
    ]
    directory = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        directory += b"".join(
            number.to_bytes(size, "little") for number, size in ((tag, 2), (kind, 2), (1, 4), (value, 4))
        )
    return b"II*\0" + (8 + len(rows)).to_bytes(4, "little") + rows + directory + bytes(4)


class TestFormats:
    def test_every_format_that_pillow_writes_and_reads_is_read(self, folder, tmp_path):
        """No list of ours to forget one in: Pillow is asked."""
        written = []
        for suffix in sorted(suffixes()):
            for place in ("train/a", "train/b", "val/a", "val/b"):
                (tmp_path / place).mkdir(parents=True, exist_ok=True)
            try:
                Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "train" / "a" / f"x{suffix}")
            except (OSError, ValueError, KeyError):  # it reads them only, or not in colour
                (tmp_path / "train" / "a" / f"x{suffix}").unlink(missing_ok=True)
                continue
            written.append(suffix)
        assert {".jfif", ".gif", ".jpe", ".bmp", ".tga", ".jp2", ".ico", ".pcx"} <= set(written)
        for place in ("train/b", "val/a", "val/b"):
            for name in "xy":
                Image.new("RGB", (32, 32)).save(tmp_path / place / f"{name}.png")
        data = folder(tmp_path, check_images=1000)
        assert data.problems() == []
        assert data.sizes["train"] + data.sizes["choose"] == len(written) + 2

    def test_what_needs_another_program_or_library_is_not_read(self, tmp_path):
        assert not {"EPS", "WMF", "GRIB", "HDF5", "BUFR"} & set(formats())
        (tmp_path / "x.png").write_bytes(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
        )
        with pytest.raises(OSError, match="cannot identify"):
            decode(tmp_path / "x.png")

    def test_what_is_left_out_is_counted(self, folder, image_root):
        cat = image_root / "train" / "cat"
        for name in ("notes.txt", "more.txt", "scan.xyz", "README", ".DS_Store", "._00.JPEG"):
            (cat / name).write_text("x")
        (image_root / "train" / "list.csv").write_text("x")
        assert "left out: 2 .txt, 2 hidden, 1 .xyz, 1 outside of class folders, 1 without a suffix;" in (
            folder(image_root).describe()
        )
        assert (
            "left out"
            not in folder(shutil.copytree(image_root / "val", image_root / "x" / "val").parent).describe()
        )

    def test_hidden_folders_are_no_classes(self, folder, image_root):
        before = folder(image_root)
        shutil.copytree(image_root / "train" / "cat", image_root / "train" / ".ipynb_checkpoints")
        shutil.copytree(image_root / "train" / "cat", image_root / "train" / "cat" / ".thumbnails")
        data = folder(image_root)
        assert data.problems() == []
        assert (data.num_classes, data.sizes) == (2, before.sizes)
        assert "left out: 2 hidden" in data.describe()


class TestUnreadableWhileTraining:
    DRAW = Draw(0, 0, 0, 0, 4)

    def test_it_ends_the_run_by_name_unless_told_otherwise(self, folder, image_root):
        reader = folder(image_root).reader("train")
        (image_root / reader.paths[0].decode()).write_text("x")
        with pytest.raises(
            TrainingError, match=r"train/cat/\d\d\..* is not: not an image.*data\.on_error=replace"
        ):
            reader.read(torch.tensor([0]), self.DRAW)

    def test_another_of_its_class_stands_in_always_the_same(self, folder, image_root):
        data = folder(image_root, on_error="replace")
        reader = data.reader("train")
        third = reader.read(torch.tensor([2]), None)["images"][0]
        (image_root / reader.paths[0].decode()).write_text("x")
        (image_root / reader.paths[1].decode()).unlink()
        for examples in ([0], [3, 0], [0, 1, 2]):
            batch = reader.read(torch.tensor(examples), None)
            assert batch["images"][examples.index(0)].equal(third)
            assert batch["labels"].tolist() == [0] * len(examples)
        said = reader.notices()
        assert len(set(said)) == 2
        assert all("stands in" in each and reader.paths[2].decode() in each for each in said)
        assert reader.notices() == []
        assert data.problems() == []

    def test_a_class_without_any_ends_the_run(self, folder, image_root):
        reader = folder(image_root, on_error="replace").reader("target")
        for path in (image_root / "val" / "cat").iterdir():
            path.write_text("x")
        with pytest.raises(TrainingError, match="of 4 that all cannot"):
            reader.read(torch.tensor([0]), None)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_what_was_replaced_is_told_with_workers_too(self, folder, image_root, workers):
        data = folder(image_root, on_error="replace")
        stream = TrainImages(data.reader("train"), seed=0, phase=0, global_batch=6, micro_batch=3)
        good = [stream.batch(Position(0, step, micro)) for step in range(4) for micro in range(2)]
        broken = data.reader("train").paths[5].decode()
        (image_root / broken).write_text("x")
        said: list[str] = []
        loader = TrainLoader(stream, 0, workers, torch.device("cpu"), notice=said.append)
        loader.seek(0)
        read = [batch for _ in range(4) for batch in loader.read()]
        assert said
        assert {each.split()[2] for each in said} == {broken}
        for before, now in zip(good, read, strict=True):
            same = before["ids"] != data.reader("train").ids[5]
            assert before["ids"].equal(now["ids"])
            assert before["images"][same].equal(now["images"][same])
        held_out = HeldOutImages(data.reader("target"), 3)
        (image_root / data.reader("target").paths[0].decode()).write_text("x")
        assert len(list(read_all(held_out, workers, torch.device("cpu"), said.append))) == 3
        assert "val/cat" in said[-1]
