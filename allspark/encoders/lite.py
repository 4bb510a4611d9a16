"""EfficientNet-Lite0 (Tan & Le, arXiv 1905.11946, the Lite variant) as a feature tower, in plain torch.

The same network as timm's ``tf_efficientnet_lite0``, tensor for tensor and name for name, so that its public weights
fit; written out here because importing timm costs as much time and memory as a tenth of a loaded model. No
squeeze-and-excitation, ReLU6 in place of swish, a stem and last stages that no width multiplier changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .road import map_numbers

# (blocks, kernel, stride, expansion, channels) of the seven stages: table 1 of the paper
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
FINE = 4  # the last stage at stride 16
DEEPEST = STAGES[-1][-1]  # channels of the last one, at stride 32
CACHED = 16  # pictures that go through at once where nothing learns: on a CPU their maps stay in the cache
EPSILON = 1e-3  # TensorFlow's, that the public weights were trained with


class SameConv2d(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's "same" does: ⌈size / stride⌉ out, the odd pixel at the end.

    A depthwise one with a stride or 5 × 5 weights trains in float32 on a CPU, also under bf16 autocast: oneDNN's bf16
    gradients of these are 3 to 30 times slower than its float32 ones (torch 2.14, AVX512-BF16), and the whole tower
    trains about twice as fast so.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups, bias=False)
        self.slow_in_bf16 = groups > 1 and (stride > 1 or kernel > 3)

    def forward(self, x: Tensor, merged: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, out, ⌈H / stride⌉, ⌈W / stride⌉) in the type of ``x``.

        With ``merged``, these weights and this bias are taken.
        """
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            short = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
            x = F.pad(x, (short[1] // 2, short[1] - short[1] // 2, short[0] // 2, short[0] - short[0] // 2))
        if merged is not None:
            return self._conv_forward(x, *merged)
        if not (self.slow_in_bf16 and x.device.type == "cpu" and x.requires_grad):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            y = F.conv2d(x.float(), self.weight.float(), None, self.stride, self.padding, 1, self.groups)
        return y.to(x.dtype)


Merged = Mapping[nn.Module, tuple[Tensor, Tensor]]  # convolution -> weights and bias that do its batch norm's work, too


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _normed(convolution: nn.Module, norm: nn.Module, x: Tensor, merged: Merged) -> Tensor:
    """The convolution and its batch norm, in one where they have been merged."""
    found = merged.get(convolution)
    return norm(convolution(x)) if found is None else convolution(x, found)


def _pairs(network: nn.Module) -> Iterator[tuple[SameConv2d, nn.BatchNorm2d]]:
    """The convolutions and the batch norms after them; whatever stands in one's place (LoRA, say) is not among them."""
    for block in network.modules():
        for first, second in getattr(block, "normed", ()):
            convolution, norm = getattr(block, first), getattr(block, second)
            if type(convolution) is SameConv2d and type(norm) is nn.BatchNorm2d and not norm.training:
                yield convolution, norm


class SeparableBlock(nn.Module):
    """Depthwise, then pointwise: the first stage's block, which expands nothing."""

    normed = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SameConv2d(channels, channels, kernel, stride, channels)
        self.bn1 = _norm(channels)
        self.conv_pw = SameConv2d(channels, out, 1)
        self.bn2 = _norm(out)

    def forward(self, x: Tensor, merged: Merged) -> Tensor:
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        y = F.relu6(_normed(self.conv_dw, self.bn1, x, merged), inplace=True)
        return _normed(self.conv_pw, self.bn2, y, merged)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; added to what came where the shape stays (Sandler et al., arXiv 1801.04381)."""

    normed = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.conv_pw = SameConv2d(channels, wide, 1)
        self.bn1 = _norm(wide)
        self.conv_dw = SameConv2d(wide, wide, kernel, stride, wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = SameConv2d(wide, out, 1)
        self.bn3 = _norm(out)
        self.skip = stride == 1 and channels == out

    def forward(self, x: Tensor, merged: Merged) -> Tensor:
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        y = F.relu6(_normed(self.conv_pw, self.bn1, x, merged), inplace=True)
        y = F.relu6(_normed(self.conv_dw, self.bn2, y, merged), inplace=True)
        y = _normed(self.conv_pwl, self.bn3, y, merged)
        return x + y if self.skip else y


class Stage(nn.Sequential):
    """Blocks one after the other."""

    def forward(self, x: Tensor, merged: Merged) -> Tensor:  # type: ignore[override]
        """(B, C, H, W) -> (B, out, H / stride, W / stride)."""
        for block in self:
            x = block(x, merged)
        return x


class LiteFeatures(nn.Module):
    """The stem and the seven stages; 288 tensors in the order of the public state dicts.

    Args:
        count: how many stages; fewer are the first ones.
    """

    normed = (("conv_stem", "bn1"),)

    def __init__(self, count: int = len(STAGES)) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, STEM, 3, 2)
        self.bn1 = _norm(STEM)
        stages, channels = [], STEM
        for blocks, kernel, stride, expansion, out in STAGES[:count]:
            stage: list[nn.Module] = []
            for i in range(blocks):
                step = stride if i == 0 else 1
                if expansion == 1:
                    stage.append(SeparableBlock(channels, out, kernel, step))
                else:
                    stage.append(InvertedResidual(channels, out, kernel, step, expansion))
                channels = out
            stages.append(Stage(*stage))
        self.blocks = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # fan-out over the groups, as EfficientNet was trained
                fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2.0 / fan) ** 0.5)

    def merged(self) -> Merged:
        """Convolutions with their batch norms as they are now: a third less time where nothing learns.

        Nothing of it is kept, because nothing would say when weights have changed.
        """
        found: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        for convolution, norm in _pairs(self):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            weight, bias = convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
            found[convolution] = (weight, bias)
        return found

    def forward(self, x: Tensor, merged: Merged | None = None) -> list[Tensor]:
        """(B, 3, S, S) -> the maps of the stem and the first five stages, strides 2 to 16, and the last one's at 32.

        Of fewer stages, each one's.
        """
        merged = merged or {}
        maps = [F.relu6(_normed(self.conv_stem, self.bn1, x, merged), inplace=True)]
        for stage in self.blocks[: FINE + 1]:
            maps.append(stage(maps[-1], merged))
        if len(self.blocks) <= FINE + 1:
            return maps
        last = maps[-1]
        for stage in self.blocks[FINE + 1 :]:
            last = stage(last, merged)
        return [*maps, last]


class LiteTower(nn.Module):
    """EfficientNet-Lite0 without its head: its maps at strides 16 and 32 on one grid, 112 and 320 channels."""

    channels = STAGES[FINE][-1] + DEEPEST
    # what stands in a cell: of the pixels and all maps of stride 8 and less means and spreads, of stride 16 means, and
    # after these the tower's own map
    finer = 2 * (3 + STEM + sum(stage[-1] for stage in STAGES[:3])) + sum(stage[-1] for stage in STAGES[3:FINE])
    numbers = finer + channels

    def __init__(self) -> None:
        super().__init__()
        self.net = LiteFeatures()

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 432, S / 16, S / 16)."""
        return self.read(pixels)[0]

    def read(self, pixels: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The map, and with ``valid`` (B, S, S) what stands in all maps under its cells (``road.map_numbers``).

        Returns:
            (B, 432, S / 16, S / 16), and (B, (S / 16)², ``numbers``) or None.
        """
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        size, merged = len(pixels), None
        if not self.training and not torch.is_grad_enabled():
            size = CACHED if pixels.device.type == "cpu" else size
            # half precision would round what a batch norm keeps in float32
            half = torch.is_autocast_enabled(pixels.device.type) or self.net.conv_stem.weight.dtype != torch.float32
            # for fewer pictures merging takes the time that it saves
            merged = self.net.merged() if len(pixels) >= CACHED and not half else None
        found, numbers = [], []
        for k in range(0, len(pixels), size):
            *maps, coarse = self.net(pixels[k : k + size], merged)
            grid = (maps[-1].shape[2], maps[-1].shape[3])
            coarse = F.interpolate(coarse, grid, mode="bilinear", align_corners=False)
            found.append(torch.cat([maps[-1], coarse], dim=1))
            if valid is not None:
                numbers.append(map_numbers([pixels[k : k + size], *maps[:-1], found[-1]], valid[k : k + size], grid))
        return torch.cat(found), torch.cat(numbers) if numbers else None
