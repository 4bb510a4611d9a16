"""The shared trunk: blocks of ``encoders/vit.py``, where their weights come from, and the adapters hung on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ..encoders.vit import Attention, Block, Transformer
from .config import PROJECTIONS, UniSTDConfig
from .ra_moe import RankAdaptiveMoE
from .temporal import TemporalModule

# Above so many tokens the table of all pairs is held in pieces by the fused kernel. Below, three plain products are two
# to three times faster in bf16 on a CPU, forwards and backwards (measured at 128 to 540 tokens).
FUSED_FROM = 1024
BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


class AdaptedBlock(nn.Module):
    """One trunk block with RA-MoE on its four projections and a temporal module after it.

    Args:
        block: its attention's layers are wrapped in place.
        config: experts, ranks, whether there is a temporal module.
    """

    def __init__(self, block: Block, config: UniSTDConfig) -> None:
        super().__init__()
        self.block = block
        for name in PROJECTIONS:
            if config.experts[name]:
                setattr(
                    block.attn,
                    name,
                    RankAdaptiveMoE(
                        getattr(block.attn, name),
                        config.experts[name],
                        config.max_rank[name],
                        config.rank[name],
                        config.adaptive,
                    ),
                )
        self.temporal = (
            TemporalModule(
                config.width,
                config.temporal_ratio,
                config.experts["temporal"],
                config.max_rank["temporal"],
                config.rank["temporal"],
                config.adaptive,
            )
            if config.temporal
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + attended(self.block.attn, self.block.norm1(x))
        x = x + self.block.mlp(self.block.norm2(x))
        return x if self.temporal is None else self.temporal(x)


def attended(attention: Attention, x: Tensor) -> Tensor:
    """What ``vit.Attention`` computes where every token is real: (B, N, D) -> (B, N, D)."""
    B, N, D = x.shape
    heads = attention.heads
    q, k, v = (layer(x).view(B, N, heads, -1).transpose(1, 2) for layer in (attention.q, attention.k, attention.v))
    if N >= FUSED_FROM or x.device.type != "cpu":
        y = F.scaled_dot_product_attention(q, k, v)
    else:
        y = ((q * (D // heads) ** -0.5) @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v
    return attention.proj(y.transpose(1, 2).reshape(B, N, D))


def plain_trunk(config: UniSTDConfig) -> Transformer:
    """The trunk of a config before anything is hung on it, with random weights."""
    return Transformer(config.width, config.depth, config.heads, config.mlp_ratio)


def fill_trunk(trunk: Transformer, blocks: list[dict[str, Tensor]]) -> None:
    """Put pretrained blocks into a trunk; where it is deeper than they are many, they are used again in order.

    Args:
        trunk: whose blocks are overwritten; its final norm stays.
        blocks: one state dict of ``vit.Block`` each.

    Raises:
        ValueError: blocks of another width.
    """
    width = len(blocks[0]["norm1.weight"])
    if width != trunk.width:
        raise ValueError(
            f"pretrained blocks of width {width} came for a trunk of width {trunk.width}; set width={width} in the "
            "forecaster's config"
        )
    for number, block in enumerate(trunk.blocks):
        block.load_state_dict(blocks[number % len(blocks)])


def encoder_blocks(folder: Path, modality: str = "rgb") -> list[dict[str, Tensor]]:
    """The transformer blocks of one encoder of an allspark model on disk.

    Args:
        folder: with *.safetensors, as ``save`` wrote it.
        modality: whose encoder.

    Raises:
        ValueError: it has no transformer blocks of ``encoders/vit.py``.
    """
    prefix = re.compile(rf"encoders\.{modality}\.(?:.*\.)?transformer\.blocks\.(\d+)\.(.+)")
    found: dict[int, dict[str, Tensor]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dictionary
                hit = prefix.fullmatch(name)
                if hit:
                    found.setdefault(int(hit[1]), {})[hit[2]] = tensors.get_tensor(name).float()
    if not found or "attn.q.weight" not in found[0]:
        raise ValueError(f"{folder} has no transformer blocks of an encoder {modality!r}; name another modality")
    return [found[i] for i in sorted(found)]


def vit_blocks(file: Path) -> list[dict[str, Tensor]]:
    """The blocks of a ViT checkpoint in timm's layout (fused qkv), as safetensors; any ViT of timm or of its makers.

    Raises:
        ValueError: other formats, or tensors that are no plain ViT's.
    """
    if file.suffix != ".safetensors":
        raise ValueError(f"{file} is no safetensors file; other formats are not read; convert it first")
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in load_file(file).items():
        hit = BLOCK.search(name)
        if hit:
            found.setdefault(int(hit[1]), {})[hit[2]] = tensor.float()
    if not found or "attn.qkv.weight" not in found[min(found)]:
        raise ValueError(f"{file} holds no blocks with attn.qkv, as timm writes a ViT; convert the names first")
    return [_split_qkv(found[i]) for i in sorted(found)]


def _split_qkv(block: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")
    split = {name: tensor for name, tensor in block.items() if name.rpartition(".")[0] in kept}
    for kind in ("weight", "bias"):
        parts = block[f"attn.qkv.{kind}"].chunk(3)
        split |= {f"attn.{name}.{kind}": part.contiguous() for name, part in zip(("q", "k", "v"), parts)}
    return split


def adapt_trunk(trunk: Transformer, config: UniSTDConfig) -> nn.ModuleList:
    """The trunk's blocks, frozen unless the config says otherwise, with adapters that learn."""
    trunk.requires_grad_(config.train_trunk)
    return nn.ModuleList(AdaptedBlock(block, config) for block in trunk.blocks)  # type: ignore[arg-type]


def frozen_share(module: nn.Module) -> float:
    """The share of parameters that do not learn."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(n for n, learns in sizes if not learns) / max(sum(n for n, _ in sizes), 1)


def random_blocks(config: UniSTDConfig, seed: int) -> list[dict[str, Tensor]]:
    """Blocks of random weights from a seed: the control of the claim that pretraining helps."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return [block.state_dict() for block in plain_trunk(config).blocks]
