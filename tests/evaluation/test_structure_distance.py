"""Structure distance: its formula by hand, its keys against what the network itself computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection, ViTConfig, ViTModel

from core.evaluation.structure_distance import KeyEncoder, Scale, self_similarity, structure_distance
from core.pocket.weights import model_path

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PUBLISHED_NAMES = {
    "layers.": "encoder.layer.",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}

Rgb = NDArray[np.uint8]


@pytest.fixture(scope="module")
def vit() -> ViTModel:
    torch.manual_seed(3)
    config = ViTConfig(
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=48,
        image_size=224,
        patch_size=32,
        initializer_range=0.3,
    )
    network: Any = ViTModel(config, add_pooling_layer=False)
    network.eval()
    assert isinstance(network, ViTModel)
    return network


@pytest.fixture(scope="module")
def dino(vit: ViTModel, tmp_path_factory: pytest.TempPathFactory) -> KeyEncoder:
    folder = tmp_path_factory.mktemp("dino")
    vit.save_pretrained(folder)
    return KeyEncoder.load_dino(folder, name="tiny-dino")


def test_self_similarity_is_worked_by_hand() -> None:
    keys = torch.tensor([[3.0, 0.0], [4.0, 3.0], [0.0, 0.0]])

    expected = torch.tensor([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 0.0]])

    torch.testing.assert_close(self_similarity(keys), expected)


def test_the_distance_is_the_mean_squared_difference_of_similarities() -> None:
    def keys(pixels: Tensor) -> Tensor:
        return torch.eye(2) if pixels.mean() > 0.5 else torch.tensor([[1.0, 0.0], [0.6, 0.8]])

    encoder = KeyEncoder(keys, name="two keys", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), device="cpu")

    assert structure_distance(_plain(0), _plain(255), encoder) == pytest.approx(2 * 0.36 / 4)


def test_dino_keys_are_those_of_the_last_block(vit: ViTModel, dino: KeyEncoder) -> None:
    image = _noise(224)
    pixels = torch.from_numpy((image / 255 - MEAN) / STD).permute(2, 0, 1)[None].float()

    expected = _seen(_last_keys(vit), lambda: vit(pixels))

    assert expected.shape == (50, 24)  # 7 × 7 patches and the class token
    torch.testing.assert_close(dino(image, Scale.SPLICE), expected, atol=1e-5, rtol=1e-4)


def test_the_scale_of_pie_shows_values_up_to_255(vit: ViTModel, dino: KeyEncoder) -> None:
    image = _noise(224)
    pixels = torch.from_numpy((image.astype(np.float64) - MEAN) / STD).permute(2, 0, 1)[None].float()

    expected = _seen(_last_keys(vit), lambda: vit(pixels))

    torch.testing.assert_close(dino(image, Scale.PIE), expected, atol=1e-4, rtol=1e-3)


def test_pictures_are_resized_without_smoothing(vit: ViTModel, dino: KeyEncoder) -> None:
    image = _noise(672)  # at a third of the size each pixel is the middle one of three by three
    middle = image[1::3, 1::3].copy()

    torch.testing.assert_close(dino(image, Scale.SPLICE), dino(middle, Scale.SPLICE), atol=1e-4, rtol=1e-3)


def test_a_long_picture_is_limited_to_480_pixels(dino: KeyEncoder) -> None:
    tokens = len(dino(_noise(300)[:100], Scale.SPLICE))

    assert tokens == 1 + (160 // 32) * (480 // 32)


def test_weights_under_their_published_names_are_read(vit: ViTModel, dino: KeyEncoder, tmp_path: Path) -> None:
    weights = {_published(name): tensor.contiguous() for name, tensor in vit.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    vit.config.save_pretrained(tmp_path)
    image = _noise(224)

    published = KeyEncoder.load_dino(tmp_path, name="published")

    assert "encoder.layer.0.attention.attention.key.weight" in weights
    torch.testing.assert_close(published(image, Scale.SPLICE), dino(image, Scale.SPLICE))


def test_a_file_without_all_weights_is_refused(vit: ViTModel, tmp_path: Path) -> None:
    weights = {name: tensor for name, tensor in vit.state_dict().items() if "layers.2." not in name}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    vit.config.save_pretrained(tmp_path)

    with pytest.raises(ValueError, match="no complete ViTModel"):
        KeyEncoder.load_dino(tmp_path, name="broken")


def test_the_pocket_encoders_keys_are_those_of_its_last_layer() -> None:
    model = model_path()
    encoder = KeyEncoder.load_clip(
        model / "image_encoder", preprocessor=model / "feature_extractor", name="pocket-image-encoder"
    )
    image = _noise(64)
    network: Any = CLIPVisionModelWithProjection.from_pretrained(model / "image_encoder")
    network.float().eval()
    pixels = torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None].float()

    expected = _seen(network.vision_model.encoder.layers[-1].self_attn.k_proj, lambda: network(pixels))

    torch.testing.assert_close(encoder(image, Scale.SPLICE), expected, atol=1e-4, rtol=1e-3)


def test_equal_pictures_have_no_distance_and_a_region_hides_the_rest(dino: KeyEncoder) -> None:
    first, second = _noise(224), _noise(224)
    region = np.zeros((224, 224), dtype=np.bool_)
    region[:100] = True
    second[100:] = 0

    assert structure_distance(first, first, dino) == pytest.approx(0, abs=1e-12)
    assert structure_distance(first, second, dino) > 1e-4
    assert structure_distance(first, second, dino, region=region) == pytest.approx(0, abs=1e-12)


def _seen(layer: nn.Module, run: Callable[[], object]) -> Tensor:
    """What a layer gave out while the network ran."""
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda *call: found.append(call[-1]))
    with torch.no_grad():
        run()
    handle.remove()
    return found[0][0]


def _last_keys(vit: Any) -> nn.Module:
    layer: nn.Module = vit.layers[-1].attention.k_proj
    return layer


def _published(name: str) -> str:
    for ours, theirs in PUBLISHED_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _noise(side: int) -> Rgb:
    return np.random.default_rng(4).integers(0, 256, (side, side, 3)).astype(np.uint8)


def _plain(grey: int) -> Rgb:
    return np.full((8, 8, 3), grey, dtype=np.uint8)
