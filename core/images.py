"""A caller's picture: read from any bytes, fitted to the model's square, and laid back at its own size."""

from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple, TypeAlias, final

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageChops, ImageCms, ImageFilter

from core.domain.errors import ErrorCode, InputError
from core.domain.specs import Fit

Image: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3)
Mask: TypeAlias = npt.NDArray[np.float32]  # (size, size), 1 where the edit acts, 0 where nothing may change

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 50_000_000  # the largest phone cameras make 48 million; decoded that is 150 MB
MAX_SIDE = 16_383  # pixels; WebP's own limit, here for all, so that no strip fills a square of gigabytes

_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


class Box(NamedTuple):
    """A rectangle in pixels; right and bottom are the first that no longer belong to it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top


@final
@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of the original the square shows, and where in the square it stands."""

    shown: Box  # in the original
    within: Box  # in the square; all of it for a crop


def read_image(data: bytes) -> Image:
    """A PNG, JPEG or WebP as an RGB picture.

    The EXIF orientation is applied, a colour profile converted to sRGB, transparency laid on white, CMYK, palettes,
    grey and 16 bits brought to three channels of eight. All other metadata is left behind.

    Raises:
        InputError: IMAGE_TOO_LARGE, decided from the header alone, or IMAGE_UNREADABLE.
    """
    if not data:
        raise InputError(ErrorCode.IMAGE_UNREADABLE, "The image is empty.")
    if len(data) > MAX_BYTES:
        raise InputError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"The image has {len(data)} bytes; the most accepted is {MAX_BYTES}.",
            bytes=len(data),
            max_bytes=MAX_BYTES,
        )
    if data.startswith(_PNG) and len(data) >= 24:
        # A PNG states its size first; Pillow would read on to the pixels before it says so.
        _refuse_size(int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    try:
        with PIL.Image.open(BytesIO(data), formats=FORMATS) as opened:
            _refuse_header(opened)
            return np.array(_rgb(_upright(opened)))
    except InputError:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:  # a decoder that is fed hostile bytes may raise anything at all
        raise InputError(ErrorCode.IMAGE_UNREADABLE, "The image is not a complete PNG, JPEG or WebP file.") from error


def to_png(image: Image) -> bytes:
    """The picture as a PNG without metadata."""
    buffer = BytesIO()
    # A photograph is written in half the time of the default level, for a sixth more bytes.
    PIL.Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def fit_square(image: Image, size: int, *, fit: Fit) -> tuple[Image, Placement]:
    """The picture as a square of `size` pixels.

    `crop` shows the largest centred square of the picture; `pad` shows all of it and repeats its border outwards.
    """
    placement = fit_placement(image.shape[1], image.shape[0], size, fit=fit)
    inner = PIL.Image.fromarray(image).resize(
        placement.within.size, PIL.Image.Resampling.LANCZOS, box=placement.shown, reducing_gap=3.0
    )
    left, top, right, bottom = placement.within
    return np.pad(np.asarray(inner), ((top, size - bottom), (left, size - right), (0, 0)), mode="edge"), placement


def fit_placement(width: int, height: int, size: int, *, fit: Fit) -> Placement:
    """Where `fit_square` puts a picture of this size."""
    if fit is Fit.PAD:
        return Placement(Box(0, 0, width, height), _centred(width, height, size))
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return Placement(Box(left, top, left + side, top + side), Box(0, 0, size, size))


def place_back(
    original: Image, edited: Image, mask: Mask, *, placement: Placement, inside: npt.NDArray[np.bool_] | None = None
) -> Image:
    """The original with the edited region of the square laid over it, at the original's size.

    Where the mask is 0, and outside what the square shows, every pixel stays bit for bit. Inside, the edit fades in
    over `fading` pixels from the region's border. `inside`, of the original's size, cuts sharply: where it is False
    every pixel stays too.
    """
    left, top, right, bottom = placement.within
    size = placement.shown.size
    # What interpolation carries over the region's border is cut off there.
    region = PIL.Image.fromarray(_nearest(mask[top:bottom, left:right] > 0, *size).astype(np.uint8) * 255)
    alpha = _feathered(mask, original.shape[:2], placement).resize(size, PIL.Image.Resampling.BILINEAR)
    part = PIL.Image.fromarray(edited[top:bottom, left:right]).resize(size, PIL.Image.Resampling.LANCZOS)
    result = PIL.Image.fromarray(original)
    result.paste(part, placement.shown[:2], ImageChops.darker(alpha, region))
    pasted = np.array(result)
    if inside is not None:
        pasted[~inside] = original[~inside]
    return pasted


def fading(size: int) -> int:
    """Over how many pixels of a square an edit fades in."""
    # Half a latent cell: 4 pixels at 512, and never so few that the step shows.
    return max(2, size // 128)


def _refuse_header(opened: PIL.Image.Image) -> None:
    _refuse_size(*opened.size)
    # Many phones write a JPEG that carries a second picture (MPO); the first is the photograph.
    frames = getattr(opened, "n_frames", 1) if opened.format != "MPO" else 1
    if frames != 1:
        detail = f"The image is an animation of {frames} frames; send a single one."
        raise InputError(ErrorCode.IMAGE_UNREADABLE, detail, frames=frames)


def _refuse_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _too_many_pixels()


def _too_many_pixels() -> InputError:
    return InputError(
        ErrorCode.IMAGE_TOO_LARGE,
        f"The image has too many pixels; at most {MAX_PIXELS} are accepted, and {MAX_SIDE} on a side.",
        max_pixels=MAX_PIXELS,
        max_side=MAX_SIDE,
    )


def _upright(opened: PIL.Image.Image) -> PIL.Image.Image:
    opened.load()
    try:
        orientation = opened.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a broken EXIF block may raise anything, and spoils no picture
        return opened
    return opened.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else opened


def _rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I"):
        picture = _eight_bits(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode in {"1", "P"}:
        picture = picture.convert("RGB")
    if profile:
        picture = _srgb(picture, profile)
    if picture.mode == "RGBA":
        white = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    # Pillow itself reduces 16-bit colour; 16-bit grey arrives whole, and its own conversion would clip at 255.
    values = np.asarray(picture).astype(np.uint32)
    return PIL.Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _srgb(picture: PIL.Image.Image, profile: bytes) -> PIL.Image.Image:
    target = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=target
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # a profile that does not fit its picture says nothing about it
    return picture if converted is None else converted


def _centred(width: int, height: int, size: int) -> Box:
    longest = max(width, height)
    inner_width, inner_height = max(1, round(size * width / longest)), max(1, round(size * height / longest))
    left, top = (size - inner_width) // 2, (size - inner_height) // 2
    return Box(left, top, left + inner_width, top + inner_height)


def _nearest(values: npt.NDArray[np.bool_], width: int, height: int) -> npt.NDArray[np.bool_]:
    # In whole numbers: Pillow's own nearest filter adds up rounding errors and can miss by a pixel.
    rows = (2 * np.arange(height) + 1) * values.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * values.shape[1] // (2 * width)
    chosen: npt.NDArray[np.bool_] = values[rows[:, None], columns]
    return chosen


def _feathered(mask: Mask, original: tuple[int, ...], placement: Placement) -> PIL.Image.Image:
    """The mask, falling to 0 towards its border from inside; the picture's own edges are no border."""
    left, top, right, bottom = placement.within
    ramp = fading(len(mask))
    values = np.rint(np.clip(mask[top:bottom, left:right], 0.0, 1.0) * 255).astype(np.uint8)
    padded = np.pad(values, ramp, mode="edge")
    shown, (height, width) = placement.shown, original
    padded[:, :ramp] *= shown.left == 0
    padded[:ramp] *= shown.top == 0
    padded[:, -ramp:] *= shown.right == width
    padded[-ramp:] *= shown.bottom == height
    eroded = [PIL.Image.fromarray(padded)]
    for _ in range(ramp):
        eroded.append(eroded[-1].filter(ImageFilter.MinFilter(3)))
    # A pixel's weight is the share of the erosions that it survives.
    weight = np.mean([np.asarray(layer) for layer in eroded], axis=0)
    return PIL.Image.fromarray(np.rint(weight).astype(np.uint8)[ramp:-ramp, ramp:-ramp])
