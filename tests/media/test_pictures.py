"""Picture files: the goldens' pixels, odd but valid files by their content, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from posemask.errors import ImageError
from posemask.media import read_image


def difference(a, b):
    return float(np.abs(a.astype(int) - b).mean())


def test_pixels_are_the_goldens(shared_data):
    golden = json.loads((shared_data / "golden/images.json").read_text())
    names = [name for name in golden if not name.startswith("skimage:")]
    assert names
    for name in names:
        image = read_image(shared_data / name)
        assert image.shape == (golden[name]["height"], golden[name]["width"], 3)
        assert image.flags.c_contiguous
        assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == golden[name]["sha256"], name


class TestOddFiles:
    @pytest.fixture
    def pose(self, shared_data):
        return read_image(shared_data / "groundtruth/tfjs_pose/pose.jpg")

    @pytest.mark.parametrize("name", ["pose_exif3.jpg", "pose_exif6.jpg", "pose.webp", "pose_cmyk.jpg"])
    def test_show_the_same_picture(self, shared_data, pose, name):
        image = read_image(shared_data / "hostile/derived" / name)
        assert image.shape == pose.shape
        assert difference(image, pose) < 4.0
        assert difference(image[::-1], pose) > 20.0

    @pytest.mark.parametrize("name", ["pose_progressive.jpg", "pose_trailing_garbage.jpg"])
    def test_jpeg_variants_are_nearly_the_same(self, shared_data, pose, name):
        assert difference(read_image(shared_data / "hostile/derived" / name), pose) < 2.0

    @pytest.mark.parametrize("name", ["pose_grey.jpg", "pose_grey16.png", "pose_grey_alpha.png"])
    def test_greys_are_the_luma(self, shared_data, pose, name):
        luma = np.asarray(Image.fromarray(pose).convert("L"))
        image = read_image(shared_data / "hostile/derived" / name)
        np.testing.assert_array_equal(image[..., 0], image[..., 1])
        np.testing.assert_array_equal(image[..., 0], image[..., 2])
        assert difference(image[..., 0], luma) < 2.0

    @pytest.mark.parametrize("pair", [("Landscape_3.jpg", "Landscape_6.jpg")])
    def test_exif_examples_show_the_same_landscape(self, shared_data, pair):
        first, second = (read_image(shared_data / "hostile/exif_orientation" / name) for name in pair)
        assert first.shape == second.shape == (1200, 1800, 3)
        # Only the number painted into the middle differs; the sky is above.
        assert difference(first[:200], second[:200]) < 8.0
        assert first[:200].mean() > first[-200:].mean()

    def test_xmp_orientation(self, shared_data):
        path = shared_data / "hostile/pillow_valid_odd/xmp_tags_orientation.png"
        stored = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(read_image(path), stored[::-1, ::-1])


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bit_greys_are_scaled(dtype):
    grey = np.linspace(0, 65535, 64).astype("<u2").reshape(4, 16)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "TIFF" if dtype == "<u2" else "PNG")
    np.testing.assert_array_equal(read_image(file.getvalue())[..., 0], grey >> 8)


def test_sixteen_bit_pgm_is_scaled(tmp_path):
    path = tmp_path / "grey.pgm"
    path.write_bytes(b"P5 3 1 65535\n" + np.array([0, 0x1234, 0xFFFF], ">u2").tobytes())
    assert read_image(path)[0, :, 0].tolist() == [0, 0x12, 0xFF]


@pytest.mark.parametrize(("top", "expected"), [(1.0, [0, 128, 255]), (255.0, [0, 128, 255])])
def test_floating_point_tiff(top, expected):
    file = io.BytesIO()
    Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32) * top, "F").save(file, "TIFF")
    assert read_image(file.getvalue())[0, :, 0].tolist() == expected


def test_greys_without_a_known_scale_are_refused():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 1_000_000]], np.int32), "I").save(file, "TIFF")
    with pytest.raises(ImageError, match="65535"):
        read_image(file.getvalue())


def test_every_way_in_gives_the_same(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    data = path.read_bytes()

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.inner = io.BytesIO(data)

        def read(self, size=-1):
            return self.inner.read(size)

        def seekable(self):
            return False

    with path.open("rb") as file, Image.open(path) as image:
        for source in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file, image, Pipe()):
            np.testing.assert_array_equal(read_image(source), pixels)


def test_pictures_larger_than_one_strip(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1000, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = 6
    image.save(tmp_path / "picture.png", exif=image.getexif(), compress_level=0)
    np.testing.assert_array_equal(read_image(tmp_path / "picture.png"), np.rot90(pixels, -1))


def test_palette_with_transparency():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes([0, 128, 255]))
    assert read_image(file.getvalue()).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]


class TestRefused:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(ImageError, match=r"nowhere\.jpg cannot be read: No such file"):
            read_image(tmp_path / "nowhere.jpg")

    def test_a_folder(self, tmp_path):
        with pytest.raises(ImageError, match="directory"):
            read_image(tmp_path)

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "empty.jpg").touch()
        with pytest.raises(ImageError, match=r"empty\.jpg is empty"):
            read_image(tmp_path / "empty.jpg")

    def test_a_text(self):
        with pytest.raises(ImageError, match="not a picture of a known format"):
            read_image(b"To be, or not to be")

    def test_a_truncated_file(self, shared_data):
        with pytest.raises(ImageError, match="truncated"):
            read_image(shared_data / "hostile/derived/pose_truncated.jpg")

    def test_too_many_pixels(self):
        file = io.BytesIO()
        Image.new("1", (200, 100)).save(file, "PNG")
        with pytest.raises(ImageError, match="200 x 100 pixels; the limit is 19999"):
            read_image(file.getvalue(), max_pixels=19_999)
        assert read_image(file.getvalue(), max_pixels=20_000).shape == (100, 200, 3)

    def test_heic_says_what_it_needs(self, shared_data, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
        with pytest.raises(ImageError, match="pip install pillow-heif"):
            read_image(shared_data / "hostile/heif_valid/example.heic")

    def test_formats_that_run_programs(self):
        postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
        with pytest.raises(ImageError, match="known format"):
            read_image(postscript)
