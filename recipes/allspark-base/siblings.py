"""What a sibling of allspark-base is made of: another image tower, another language model, fewer modalities.

``base.py`` writes the choice beside the checkpoints (``parts.json``) before the first stage; every stage reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

import allspark
from allspark import AllSpark, atomic
from allspark import modality as modalities

FILE = "parts.json"


@dataclass(frozen=True)
class Parts:
    """The choice.

    Attributes:
        language: folder (or Hub name) of a causal language model in Hugging Face's layout; "" for stage 1's own.
        rgb: an image tower, as ``allspark.build(encoders={"rgb": {"tower": …}})`` takes it; "" for the preset's.
        modalities: those that are trained; none for all that have an encoder.
    """

    language: str = ""
    rgb: str = ""
    modalities: tuple[str, ...] = field(default=())

    @classmethod
    def read(cls, out: Path) -> Parts:
        """What was chosen for the run in ``out``; the plain base where nothing was."""
        path = out / FILE
        if not path.is_file():
            return cls()
        facts = json.loads(path.read_text(encoding="utf-8"))
        return cls(facts["language"], facts["rgb"], tuple(facts["modalities"]))

    def keep(self, out: Path) -> None:
        """Write the choice for the stages.

        Raises:
            ValueError: the run in ``out`` was begun with another choice.
        """
        path = out / FILE
        if (path.is_file() or (out / "encoders").is_dir()) and Parts.read(out) != self:
            raise ValueError(f"{out} was begun with {Parts.read(out)}, now {self} came; give another --out")
        out.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def names(self) -> list[str]:
        """The modalities with an encoder that are trained."""
        encoded = [name for name in modalities.names() if modalities.get(name).encoder is not None]
        unknown = sorted(set(self.modalities) - set(encoded))
        if unknown:
            raise ValueError(f"there is no encoder of {', '.join(unknown)}; wanted some of {', '.join(encoded)}")
        return [name for name in encoded if not self.modalities or name in self.modalities]

    def build(self, only: list[str], language: Path | None = None, seed: int = 0) -> AllSpark:
        """A model of these modalities around the chosen language model, or ``language`` where none was chosen.

        The tower's public weights are read here; every other encoder is new.
        """
        encoders: dict[str, dict[str, Any]] = {"rgb": {"tower": self.rgb}} if self.rgb and "rgb" in only else {}
        names = [name for name in modalities.names() if modalities.get(name).encoder is None or name in only]
        return allspark.build(
            "allspark-base", language=self.language or language, modality=names, encoders=encoders, seed=seed
        )


def own_vectors(spark: AllSpark, texts: list[str], path: Path) -> Tensor:
    """(N, H) in fp16: what the model's own language model makes of the texts, computed once and kept in ``path``."""
    if path.is_file() and len(kept := load_file(path)["vectors"]) == len(texts):
        return kept
    vectors = spark.text(texts).half().clone()
    partial = path.with_suffix(".partial")
    save_file({"vectors": vectors}, partial)
    partial.rename(path)
    return vectors
