"""A sibling by configuration: base.py with a stand-in image tower and a stand-in language model, to the folder."""

import json
import runpy
import sys
from pathlib import Path

import base
import numpy as np
import pytest
import torch
from packed import read
from safetensors.torch import load_file, save_file
from siblings import Parts
from transformers import AutoModelForCausalLM

import allspark
from allspark.building import byte_tokenizer


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A random Qwen2 of width 48, as anybody's folder."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llm")
    config = Qwen2Config(
        vocab_size=260, hidden_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=64, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def tower(tmp_path, monkeypatch):
    """A random CLIP tower of open_clip's, with its checkpoint."""
    import open_clip
    from open_clip import factory

    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
    }
    (tmp_path / "made-ViT-8.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "made-ViT-8.json")
    clip = open_clip.create_model("made-ViT-8", pretrained=None, load_weights=False)
    path = tmp_path / "clip.safetensors"
    save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, path)
    return f"open_clip:made-ViT-8@{path}", clip


def test_a_tower_and_a_language_model_make_a_sibling(language, tower, aid, tmp_path, monkeypatch):
    said = []

    def call(script, *arguments):
        said.append(script)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(Path(base.__file__).with_name(script)), run_name="__main__")

    monkeypatch.setattr(base, "call", call)  # the stages in this process: the made tower is known to it alone
    name, clip = tower
    out, weights = tmp_path / "run", tmp_path / "sibling"
    command = ["base.py", "--data", aid, "--out", out, "--weights", weights, "--language", language, "--rgb", name,
               "--only", "rgb", "--share", 0.002, "--jobs", 1]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    base.main()
    assert said == ["encoder_stage.py", "bridge_stage.py", "finish.py"]
    spark = allspark.load(weights)
    assert spark.config.language_width == 48
    assert spark.config.encoders["rgb"]["tower"] == "open_clip:made-ViT-8"
    assert spark.processor.inputs["rgb"]["size"] == 32
    assert spark.model.encoded == ["rgb"]
    before = AutoModelForCausalLM.from_pretrained(language).get_input_embeddings().weight
    assert torch.equal(spark.model.language.get_input_embeddings().weight, before.bfloat16().float())
    first = spark.model.encoders["rgb"].tower.net.conv1.weight - clip.visual.conv1.weight
    assert 0 < float(first.detach().abs().mean()) < 0.02  # began as the checkpoint, and learnt
    assert read(out / "packed" / "aid.val.safetensors").samples[0]["pixels"].shape == (3, 32, 32)
    learnt = load_file(out / "bridges" / "rgb.safetensors")
    for key, value in spark.model.bridges["rgb"].state_dict().items():
        torch.testing.assert_close(value, learnt[f"model.bridge.{key}"].bfloat16().float())
    flat = allspark.Raster(np.full((3, 32, 32), 90, np.uint8), units="uint8", bands=("red", "green", "blue"))
    assert spark.classify(flat, ["desert", "pond"])[0].label in ("desert", "pond")

    with pytest.raises(ValueError, match="give another --out"):
        Parts(language="other").keep(out)


def test_a_sibling_is_asked_for_rightly(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refused(*words):
        monkeypatch.setattr(sys, "argv", ["base.py", "--data", str(tmp_path), *map(str, words)])
        with pytest.raises(SystemExit):
            base.main()
        return capsys.readouterr().err

    assert "give --teacher" in refused()
    assert "--weights folder of its own" in refused("--language", tmp_path)
    with pytest.raises(ValueError, match="no encoder of language"):
        Parts(modalities=("language",)).names  # noqa: B018
    assert Parts.read(tmp_path) == Parts()
    assert "table" in Parts().names
