"""Any bytes are read as an upright RGB picture, or refused with one of two codes."""

import struct
import zlib
from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from core.domain.errors import ErrorCode, InputError
from core.images import MAX_BYTES, MAX_SIDE, Image, read_image, to_png


def photograph(width: int = 24, height: int = 16) -> Image:
    """A smooth ramp, so that lossy formats keep it within a few levels."""
    across, down = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([across, down, (across + down) / 2], axis=-1).astype(np.uint8)


def encoded(picture: PIL.Image.Image | Image, form: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image = picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(picture)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises many pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def refusal(data: bytes) -> ErrorCode:
    with pytest.raises(InputError) as caught:
        read_image(data)
    return caught.value.code


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_are_read_exactly(form: str, options: dict[str, object]) -> None:
    assert np.array_equal(read_image(encoded(photograph(), form, **options)), photograph())


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_formats_are_read_closely(form: str) -> None:
    read = read_image(encoded(photograph(), form, quality=95))

    assert np.abs(read.astype(int) - photograph()).max() < 12


def test_png_round_trip_is_exact() -> None:
    assert np.array_equal(read_image(to_png(photograph())), photograph())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_dropped(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    sent = PIL.Image.fromarray(photograph())
    # Each camera position, undone by hand: (rows reversed, columns reversed, axes swapped).
    undo = {
        1: (0, 0, 0),
        2: (0, 1, 0),
        3: (1, 1, 0),
        4: (1, 0, 0),
        5: (0, 0, 1),
        6: (1, 0, 1),
        7: (1, 1, 1),
        8: (0, 1, 1),
    }
    rows, columns, swapped = undo[orientation]
    expected = photograph()[:: -1 if rows else 1, :: -1 if columns else 1]

    read = read_image(encoded(sent, exif=exif))

    assert np.array_equal(read, expected.transpose(1, 0, 2) if swapped else expected)
    assert "exif" not in PIL.Image.open(BytesIO(to_png(read))).info


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("block", [b"MM\0*\xff\xff\xff\xff", b"no TIFF header", b""])
def test_a_broken_exif_block_spoils_no_picture(block: bytes) -> None:
    data = encoded(photograph(), "JPEG", exif=b"Exif\0\0" + block)

    assert read_image(data).shape == (16, 24, 3)


def test_transparency_is_laid_on_white() -> None:
    picture = PIL.Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    picture.putpixel((0, 0), (200, 0, 0, 255))

    read = read_image(encoded(picture))

    assert read[0, 0].tolist() == [200, 0, 0]
    assert read[3, 3].tolist() == [255, 255, 255]


def test_a_transparent_palette_colour_is_laid_on_white() -> None:
    picture = PIL.Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.putpixel((0, 0), 0)

    read = read_image(encoded(picture, transparency=0))

    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[1, 1].tolist() == [10, 20, 30]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_modes_get_three_channels(mode: str) -> None:
    grey = PIL.Image.new("L", (6, 5), 255).convert(mode)

    assert read_image(encoded(grey)).tolist() == [[[255, 255, 255]] * 6] * 5


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)

    read = read_image(encoded(PIL.Image.fromarray(values)))

    assert read[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_is_converted() -> None:
    read = read_image(encoded(PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))

    red, green, blue = read[4, 4]
    assert red > 200
    assert max(green, blue) < 60


def test_a_colour_profile_is_converted_to_srgb() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert np.array_equal(read_image(encoded(photograph(), icc_profile=srgb)), photograph())
    assert np.array_equal(read_image(encoded(photograph(), icc_profile=lab)), photograph())  # fits no RGB picture
    assert np.array_equal(read_image(encoded(photograph(), icc_profile=b"no profile")), photograph())


def test_the_first_picture_of_a_phones_double_jpeg_is_read() -> None:
    second = PIL.Image.new("RGB", (24, 16))
    data = encoded(photograph(), "MPO", save_all=True, append_images=[second], quality=95)

    assert np.abs(read_image(data).astype(int) - photograph()).max() < 12


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_an_animation_is_refused(form: str) -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]

    assert refusal(encoded(frames[0], form, save_all=True, append_images=frames[1:])) is ErrorCode.IMAGE_UNREADABLE


@pytest.mark.parametrize("size", [(60_000, 60_000), (9_500, 9_500), (7_500, 7_500), (MAX_SIDE + 1, 1)])
def test_too_many_pixels_are_refused_by_the_header(size: tuple[int, int]) -> None:
    assert refusal(png_header(*size)) is ErrorCode.IMAGE_TOO_LARGE
    assert refusal(png_header(*size)[:33]) is ErrorCode.IMAGE_TOO_LARGE


def test_too_many_pixels_of_a_jpeg_are_refused_by_the_header() -> None:
    data = bytearray(encoded(photograph(), "JPEG"))
    frame = data.index(b"\xff\xc0")  # marker, length, precision, then height and width
    data[frame + 5 : frame + 9] = b"\xea\x60\xea\x60"

    assert refusal(bytes(data)) is ErrorCode.IMAGE_TOO_LARGE


def test_too_many_bytes_are_refused() -> None:
    assert refusal(bytes(MAX_BYTES + 1)) is ErrorCode.IMAGE_TOO_LARGE


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_is_refused(form: str) -> None:
    data = encoded(photograph(200, 200), form)

    assert refusal(data[: len(data) // 2]) is ErrorCode.IMAGE_UNREADABLE


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(form: str) -> None:
    assert refusal(encoded(photograph(), form)) is ErrorCode.IMAGE_UNREADABLE


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"") is ErrorCode.IMAGE_UNREADABLE


def reads_or_refuses(data: bytes) -> None:
    refused = None
    try:
        read = read_image(data)
    except InputError as error:
        refused = error.code
    else:
        assert read.dtype == np.uint8
        assert read.shape[2] == 3

    assert refused in {None, ErrorCode.IMAGE_UNREADABLE, ErrorCode.IMAGE_TOO_LARGE}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reads_or_refuses(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damage that it survives
@settings(max_examples=300, deadline=None)
@given(form=st.sampled_from(["PNG", "JPEG", "WEBP", "MPO"]), data=st.data())
def test_any_damage_is_read_or_refused(form: str, data: st.DataObject) -> None:
    options = {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"} if form != "MPO" else {}
    sound = bytearray(encoded(photograph(), form, **options))
    for position in data.draw(st.lists(st.integers(0, len(sound) - 1), min_size=1, max_size=8)):
        sound[position] = data.draw(st.integers(0, 255))

    reads_or_refuses(bytes(sound))
