"""A style transfer of the studio: the picture that is edited is the content."""

from typing import Any

from core.domain.edit_specs import StyleTransferSpec
from core.domain.inversion_specs import ValueEmbeddingSpec
from core.domain.specs import Fit, Output
from core.images import read_image, to_png
from core.pocket.scenes import Attribute, Background, caption, with_attribute
from tests.edits.picturing import CIRCLE, Bench, photo

_STYLE = with_attribute(CIRCLE, Attribute.BACKGROUND, Background.BRICK)


def _transfer(bench: Bench, **windows: float) -> tuple[Any, dict[str, Any]]:
    """The circle on grass, wider than high, in the style of one on bricks."""
    options: dict[str, Any] = {"seed": 0, "observe": lambda _: None, "resume": None}
    style, content = to_png(photo(_STYLE)), to_png(photo(CIRCLE, (80, 64)))
    inverted = ValueEmbeddingSpec(timesteps=4, guidance=3.0, inner_steps=1)
    inversion = bench.studio.invert(style, caption(_STYLE), inverted, fit=Fit.CROP, **options).files[-1].data
    finished = bench.studio.edit(
        inversion,
        style,
        caption(CIRCLE),
        spec=StyleTransferSpec(content_image_id="img_content", content_prompt=caption(CIRCLE), **windows),
        output=Output.ORIGINAL,
        images={"img_content": content},
        **options,
    )
    return read_image(finished.files[0].data), finished.result


def test_the_result_has_the_contents_size_and_keeps_to_it_where_little_changed(bench: Bench) -> None:
    """The strips beside the square are the content's own; the style picture has none."""
    picture, told = _transfer(bench)

    content = photo(CIRCLE, (80, 64))
    assert picture.shape == content.shape == (told["height"], told["width"], 3)
    assert (picture[:, :8] == content[:, :8]).all()
    assert (picture[:, 8:72] != content[:, 8:72]).any()
