"""RGB pictures: a convolutional stem's maps as a token grid, then transformer blocks; or a tower of timm or open_clip.

EfficientNet-Lite0 has no squeeze-and-excitation and no swish: quick on a CPU, and public ImageNet weights fit it. At
128 pixels the grid is 8 × 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..items import Raster
from ..modality import Modality, register
from ._augment import picture
from .base import Encoder, Tokens
from .lite import DEEPEST
from .pixels import crop_around_valid, is_display, need_valid, on_grid, one_date, resize
from .road import Road
from .towers import PATCHES, ForeignTower, LiteTower, build_tower, load_weights, split_tower, tower_input
from .vit import PatchTransformer, token_mask


def prepare(
    item: Raster,
    *,
    size: int = 128,
    mean: Sequence[float] = (127.0, 127.0, 127.0),
    std: Sequence[float] = (128.0, 128.0, 128.0),
) -> dict[str, Tensor]:
    """A picture -> the network's pixels.

    The shorter side is resampled to ``size`` (bilinear, antialiased, valid pixels alone), then the middle square is
    cut out. Of a strongly elongated scene the ends are therefore not seen: cut it into windows first (``scenes``).

    Args:
        item: a Raster of uint8 with bands red, green and blue in any order, among others; three bands without names
            are taken in that order.
        size: S, pixels per side.
        mean: per band, on the scale 0 to 255.
        std: likewise.

    Returns:
        "pixels" (3, S, S) float32, (x − mean) / std, 0 where invalid; "valid" (S, S) bool.

    Raises:
        ValueError: other units, other bands, several dates, or no valid pixel.
    """
    if item.units != "uint8":
        raise ValueError(f"a raster in {item.units} came; rgb wants uint8 from 0 to 255; scale it for display first")
    values = one_date(item, "rgb")
    names = [band.lower() for band in item.bands or ()]
    if {"red", "green", "blue"} <= set(names):
        values = values[[names.index(band) for band in ("red", "green", "blue")]]
    elif len(values) != 3 or item.bands is not None:
        found = f"bands {', '.join(item.bands)}" if item.bands else f"{len(values)} bands without names"
        raise ValueError(f"{found} came; rgb wants red, green and blue; name them with bands=")
    valid = need_valid(item.mask)
    side = min(valid.shape)
    window = crop_around_valid(valid, side, side)
    values, valid = values[:, *window], need_valid(valid[window])
    pixels, mask = resize(values, valid, (size, size))
    scale = lambda numbers: torch.tensor(numbers, dtype=torch.float32)[:, None, None]  # noqa: E731
    return {"pixels": torch.where(mask, (pixels - scale(mean)) / scale(std), 0.0), "valid": mask}


def own_numbers(pixels: Tensor, valid: Tensor) -> Tensor:
    """(B, 3 · g²): the colours on a coarse grid, NaN where nothing is valid."""
    return on_grid(pixels, valid[:, None].expand_as(pixels), most=768)


class RgbEncoder(Encoder):
    """A tower's map -> tokens on a grid, a token real where a quarter of its pixels are valid.

    Args:
        tower: see ``allspark.encoders.towers``; a checkpoint in it is not read here (``load_tower`` does).
        width: D; None takes the tower's own channels.
        depth: blocks after the tower. With ``width=None`` and ``depth=0`` the tokens are the tower's own.
        heads: attention heads of these blocks.
        mlp_ratio: hidden width of their MLPs over D.
        drop_path: stochastic depth at the last of them.
        freeze_norm: keep the tower's batch norms on their running statistics in training too; wanted for fine-tuning
            with batches of fewer than about 16 pictures.
        moments: is there a linear road past the transformer (``road.py``), from the pixels and the maps of our own
            tower? Other towers have none in any case.
        deepest: does that road read the maps of stride 32 too? Without, it is that of models saved before.

    Raises:
        ValueError: no width for the tower "vit".
    """

    def __init__(
        self,
        tower: str = "efficientnet_lite0",
        width: int | None = 256,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        freeze_norm: bool = False,
        moments: bool = False,
        deepest: bool = False,
    ) -> None:
        super().__init__()
        name, _ = split_tower(tower)
        self.freeze_norm = freeze_norm
        self.tower: LiteTower | ForeignTower | None = None
        if name == PATCHES:
            if width is None:
                raise ValueError("the tower 'vit' has no width of its own; give width")
            channels, patch = 3, 16
        else:
            self.tower = build_tower(name)
            channels, patch = self.tower.channels, 1
        self.width = width or channels
        self.own = width is None and depth == 0  # the tower's tokens, nothing of ours over them
        self.head = (
            None
            if self.own
            else PatchTransformer(channels, self.width, depth, heads, patch, mlp_ratio=mlp_ratio, drop_path=drop_path)
        )

        ours = isinstance(self.tower, LiteTower) and self.head is not None
        self.finer = LiteTower.finer  # of the numbers that a road reads, those of maps before the tower's own
        self.numbers = LiteTower.numbers if deepest else LiteTower.numbers - DEEPEST
        self.moments = Road(self.numbers, self.width) if moments and ours else None

    def train(self, mode: bool = True) -> RgbEncoder:
        """As ``nn.Module.train``; batch norms stay in evaluation mode where ``freeze_norm`` says so."""
        super().train(mode)
        if self.freeze_norm:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, pixels: Tensor, valid: Tensor) -> Tokens:  # type: ignore[override]
        """(B, 3, S, S) and (B, S, S) bool -> (B, N, D) on a grid; S a multiple of 16 for the towers of our own."""
        x = torch.where(valid[:, None], pixels, 0)  # an invalid pixel is the mean colour, whatever stood there
        numbers = None
        if isinstance(self.tower, LiteTower):
            x, numbers = self.tower.read(x, None if self.moments is None else valid)
        elif self.tower is not None:
            x = self.tower(x)
        if self.head is not None:
            features, mask, grid = self.head(x, valid)
            if self.moments is not None and numbers is not None:
                features = features + self.moments(numbers[..., : self.numbers])
            return Tokens(features, mask, grid)
        grid = (x.shape[2], x.shape[3])
        mask = token_mask(valid, grid)
        return Tokens(x.flatten(2).transpose(1, 2) * mask[..., None].to(x.dtype), mask, grid)

    def road_numbers(self, pixels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """What ``moments`` reads of one collated batch: (B, N, ·), and the tokens' mask (B, N).

        Raises:
            ValueError: the tower is not our own.
        """
        if not isinstance(self.tower, LiteTower):
            raise ValueError("only the tower efficientnet_lite0 has maps that a road can read")
        x, numbers = self.tower.read(torch.where(valid[:, None], pixels, 0), valid)
        assert numbers is not None
        return numbers[..., : self.numbers], token_mask(valid, (x.shape[2], x.shape[3]))


def load_tower(encoder: RgbEncoder, tower: str, checkpoint: str) -> None:
    """Fill the tower of a freshly built encoder from a public checkpoint (safetensors only).

    Args:
        encoder: built with this ``tower``.
        tower: "timm:NAME" or "open_clip:NAME".
        checkpoint: a file, a folder, ``hf-hub:owner/name``, or a tag of open_clip's published weights.

    Raises:
        FileNotFoundError: the checkpoint is not there.
        ValueError: not safetensors, or not of this tower.
    """
    if encoder.tower is None:
        raise ValueError("the tower 'vit' has no public checkpoint; choose 'timm:NAME' or 'open_clip:NAME'")
    load_weights(encoder.tower.net, split_tower(tower)[0], checkpoint)


def input_for(config: Mapping[str, Any]) -> dict[str, Any]:
    """What ``prepare`` must be told for the tower of an encoder's config: its size, mean and std."""
    return tower_input(config["tower"])


def pretrained(encoder: RgbEncoder, config: Mapping[str, Any]) -> dict[str, Any]:
    """Load the checkpoint that a config's tower names, if any -> the config to keep, without the checkpoint's place."""
    tower, checkpoint = split_tower(config["tower"])
    if checkpoint is not None:
        load_tower(encoder, tower, checkpoint)
    return {**config, "tower": tower}


register(
    Modality(
        name="rgb",
        item=Raster,
        prepare=prepare,
        encoder=RgbEncoder,
        prompt="An aerial or satellite picture in natural colours:",
        recognises=is_display,
        input={"size": 128, "mean": [127.0] * 3, "std": [128.0] * 3},
        config={
            "tower": "efficientnet_lite0",
            "width": 256,
            "depth": 2,
            "heads": 4,
            "mlp_ratio": 4.0,
            "drop_path": 0.0,
            "freeze_norm": False,
            "moments": True,
            "deepest": True,
        },
        input_for=input_for,
        pretrained=pretrained,
        augment=picture,
        numbers=own_numbers,
    )
)
