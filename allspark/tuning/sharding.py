"""Fully sharded training (FSDP2) with torch alone, so that it runs on any backend, gloo on CPUs among them.

Accelerate's own FSDP (``fsdp.yaml`` in ``docs/``) shards on GPUs; on CPUs it copies. ``--shard`` shards on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from torch import nn

if TYPE_CHECKING:
    from peft import PeftModel


def shard(wrapped: PeftModel, accelerator: Accelerator) -> None:
    """Leave every rank a part of each layer (Zhao et al., VLDB 2023), in place; the model is not wrapped in DDP.

    Args:
        wrapped: peft's model, on the accelerator's device.
        accelerator: whose processes share it.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    language: Any = wrapped.get_base_model().language
    layers = getattr(language.base_model, "layers", None)
    for layer in layers if isinstance(layers, nn.ModuleList) else ():
        fully_shard(layer, mesh=mesh)
    # by default the root keeps its gathered weights after a forward pass, blind to what is copied into its parts
    fully_shard(wrapped, mesh=mesh, reshard_after_forward=True)
