"""What a warm start knows of every unchanged picture, so that training on a few class names does not lose it.

EfficientNet-Lite0's pooled features (1,280 numbers), whitened to the ``KEPT`` directions of largest variance over the
training pictures: an encoder that can still predict them can still tell apart what its class names do not.
"""

from __future__ import annotations

from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from packed import Packed, full
from torch import Tensor
from training import autocast
from warm_start import read_weights

KEPT = 256
SIDE = 192  # pixels: between our 128 and the 224 that the public weights were trained at


def kept_features(source: Packed, warm: Path) -> Tensor:
    """(M, KEPT) unit vectors of a source's samples: whitened pooled features of the public network."""
    net = timm.create_model("tf_efficientnet_lite0", num_classes=0, pretrained=False).eval()
    own = net.state_dict()
    net.load_state_dict(dict(zip(own, read_weights(warm)[: len(own)])))
    rows = []
    with torch.inference_mode(), autocast():
        for i in range(0, len(source.samples), 64):
            pixels = torch.stack([sample["pixels"] for sample in full(source.samples[i : i + 64])])
            pixels = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
            rows.append(net(pixels.contiguous(memory_format=torch.channels_last)).float())
    features = torch.cat(rows)
    centred = features - features.mean(0)
    _, scale, directions = torch.pca_lowrank(centred, KEPT, center=False)
    return F.normalize(centred @ directions / scale * len(centred) ** 0.5, dim=-1).clone()


def targets(sources: list[Packed], modality: str, warm: Path | None) -> dict[str, Tensor]:
    """Source -> its kept features; nothing but for pictures, and for these with a warm start alone."""
    if warm is None or modality != "rgb":
        return {}
    return {source.source: kept_features(source, warm) for source in sources}
