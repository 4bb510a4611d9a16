"""Image towers of timm and open_clip as the front of the RGB encoder: a name in, a feature map out.

A tower is named by one string:

- ``efficientnet_lite0``: our own (``lite.py``), its maps at strides 16 and 32 on one grid;
- ``vit``: no tower, 16-pixel patches go to the encoder's own transformer;
- ``timm:NAME`` or ``open_clip:NAME``: the last patch tokens (or the last map) of that image tower.

``@CHECKPOINT`` may follow the last two: a ``.safetensors`` file, a folder that holds one, ``hf-hub:owner/name``, or
(for open_clip) the tag of published weights. ``open_clip:NAME/CHECKPOINT`` says the same. A tower is always built with
random weights; ``load_tower`` fills them, so that ``from_pretrained`` never reads a second file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .lite import LiteTower

LITE = "efficientnet_lite0"
PATCHES = "vit"
_LIBRARIES = ("timm", "open_clip")
_FILES = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")


def split_tower(tower: str) -> tuple[str, str | None]:
    """A tower's string -> the tower itself (what config.json keeps) and the checkpoint it asks for, or None.

    Raises:
        ValueError: neither a tower of ours nor "timm:…" or "open_clip:…".

    Example:
        >>> split_tower("open_clip:ViT-B-32@weights/model.safetensors")
        ('open_clip:ViT-B-32', 'weights/model.safetensors')
    """
    if tower in (LITE, PATCHES):
        return tower, None
    library, _, name = tower.partition(":")
    if library not in _LIBRARIES or not name:
        raise ValueError(
            f"the tower {tower!r} is not known; wanted {LITE!r}, {PATCHES!r}, 'timm:NAME' or 'open_clip:NAME'"
        )
    name, _, checkpoint = name.partition("@")
    if library == "open_clip" and not checkpoint:
        name, _, checkpoint = name.partition("/")
        if checkpoint and not Path(checkpoint).exists() and Path(f"/{checkpoint}").exists():
            checkpoint = f"/{checkpoint}"  # the slash was both the separator and the root
    return f"{library}:{name}", checkpoint or None


def tower_input(tower: str) -> dict[str, Any]:
    """What a tower wants to be shown: the JSON defaults of ``rgb.prepare`` for it.

    Args:
        tower: see the module; a checkpoint in it is ignored.

    Returns:
        {"size": S, "mean": [3], "std": [3]}, mean and std on the scale 0 to 255.
    """
    tower, _ = split_tower(tower)
    if tower in (LITE, PATCHES):
        return {"size": 128, "mean": [127.0] * 3, "std": [128.0] * 3}
    library, _, name = tower.partition(":")
    if library == "timm":
        import timm

        known = timm.get_pretrained_cfg(name)
        if known is None:
            raise ValueError(_unknown(library, name))
        size, mean, std = known.input_size[-1], known.mean, known.std
    else:
        import open_clip

        config = _open_clip_config(name)
        size = config["vision_cfg"].get("image_size", 224)
        size = max(size) if isinstance(size, (tuple, list)) else size
        mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        published = [open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)]
        if published:  # SigLIP and its kin were trained with a mean of 0.5
            mean, std = published[0].get("mean") or mean, published[0].get("std") or std
    return {"size": size, "mean": [255 * m for m in mean], "std": [255 * s for s in std]}


def _unknown(library: str, name: str) -> str:
    return f"{library} has no model {name!r}; see {library}'s list of models for its exact name"


def _open_clip_config(name: str) -> dict[str, Any]:
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        raise ValueError(_unknown("open_clip", name))
    return config


class ForeignTower(nn.Module):
    """An image tower of timm or open_clip that gives its last, normalised feature map.

    Args:
        tower: "timm:NAME" or "open_clip:NAME".

    Raises:
        ValueError: the library has no such model, or the model gives no map.
    """

    def __init__(self, tower: str) -> None:
        super().__init__()
        library, _, name = tower.partition(":")
        net: Any
        trunk: Any
        if library == "timm":
            import timm

            if not timm.is_model(name):
                raise ValueError(_unknown(library, name))
            net = timm.create_model(name, pretrained=False, num_classes=0)
            trunk = net
            self.channels = int(trunk.num_features)
        else:
            from open_clip.model import CLIPVisionCfg, _build_vision_tower  # the image half alone

            config = _open_clip_config(name)
            vision = CLIPVisionCfg(**config["vision_cfg"])
            vision.timm_model_pretrained = False
            net = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
            trunk = net.trunk if vision.timm_model_name else net
            if vision.timm_model_name:
                self.channels = int(trunk.num_features)
            elif isinstance(vision.layers, (tuple, list)):
                self.channels = vision.width * 32  # ModifiedResNet
            else:
                self.channels = vision.width
        self.library = library
        self.net = net
        if not callable(getattr(trunk, "forward_intermediates", None)):
            raise ValueError(f"{tower} gives no feature map; choose a tower with forward_intermediates")

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, channels, h, w); S is the tower's own size (``tower_input``)."""
        net: Any = self.net
        if self.library == "timm":
            return net.forward_intermediates(pixels, indices=1, norm=True, intermediates_only=True)[-1]
        return net.forward_intermediates(
            pixels, indices=1, normalize_intermediates=True, intermediates_only=True, output_fmt="NCHW"
        )["image_intermediates"][-1]


def build_tower(tower: str) -> LiteTower | ForeignTower:
    """The tower of this name with random weights (not "vit", which is none)."""
    tower, _ = split_tower(tower)
    return LiteTower() if tower == LITE else ForeignTower(tower)


def checkpoint_file(tower: str, checkpoint: str) -> Path:
    """Where a checkpoint's safetensors lie: a file, the one in a folder, or one fetched from the Hub.

    Raises:
        FileNotFoundError: no such file, or a folder without one.
        ValueError: a file of another kind; pickles are not read.
    """
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        found = [path / name for name in _FILES if (path / name).is_file()] or sorted(path.glob("*.safetensors"))
        if not found:
            raise FileNotFoundError(f"the folder {path} holds no .safetensors file; put the tower's weights there")
        return found[0]
    if path.is_file():
        if path.suffix != ".safetensors":
            raise ValueError(f"the checkpoint {path} is not a .safetensors file; convert it, pickles are not read")
        return path
    repository = checkpoint.removeprefix("hf-hub:") if checkpoint.startswith("hf-hub:") else None
    library, _, name = tower.partition(":")
    if repository is None and library == "open_clip":
        import open_clip

        published = open_clip.get_pretrained_cfg(name, checkpoint)
        repository = published.get("hf_hub", "").strip("/") or None
        if published.get("quick_gelu") and not _open_clip_config(name).get("quick_gelu"):
            raise ValueError(f"the weights {checkpoint} need another activation; take {tower}-quickgelu")
    if repository is None:
        raise FileNotFoundError(
            f"there is no checkpoint {checkpoint!r}; give a .safetensors file, its folder, or hf-hub:owner/name"
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    for name in _FILES:
        try:
            return Path(hf_hub_download(repository, name))
        except EntryNotFoundError:
            continue
    raise FileNotFoundError(f"{repository} on the Hub holds none of {', '.join(_FILES)}; choose another repository")


def load_weights(net: nn.Module, tower: str, checkpoint: str) -> None:
    """Fill a tower's ``net`` from a checkpoint; every tensor of the tower must be there with its shape.

    Tensors that the tower lacks (a CLIP model's text half, a classifier, a pooling head) are passed over.

    Raises:
        FileNotFoundError, ValueError: see ``checkpoint_file``; a tensor that is missing or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = checkpoint_file(tower, checkpoint)
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"the checkpoint {path} cannot be read ({error}); fetch it again") from error
    if any(key.startswith("visual.") for key in weights):  # a whole CLIP: its image half
        weights = {key.removeprefix("visual."): value for key, value in weights.items() if key.startswith("visual.")}
    own = net.state_dict()
    missing = [key for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(
            f"the checkpoint {path} lacks {len(missing)} of {len(own)} tensors of {tower} ({missing[0]}, …); "
            "give the checkpoint of this very model"
        )
    wrong = [key for key in own if key in weights and weights[key].shape != own[key].shape]
    if wrong:
        raise ValueError(
            f"the checkpoint {path} holds {wrong[0]} of shape {tuple(weights[wrong[0]].shape)}; {tower} wants "
            f"{tuple(own[wrong[0]].shape)}; give the checkpoint of this very model"
        )
    net.load_state_dict({key: value for key, value in weights.items() if key in own}, strict=False)
