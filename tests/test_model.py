"""Model, processor and parts: any language model, slots, padding, heads, bridges."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import allspark
from allspark.bridges import LinearBridge, Resampler, make_bridge
from allspark.building import byte_tokenizer
from allspark.encoders.base import Tokens
from allspark.heads import make_head
from allspark.testing import made

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 260}
FAMILIES = {
    "llama": {**SMALL, "num_key_value_heads": 2, "intermediate_size": 48},
    "qwen2": {**SMALL, "num_key_value_heads": 1, "intermediate_size": 48, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 260},
    "gemma": {**SMALL, "num_key_value_heads": 1, "intermediate_size": 48, "head_dim": 16},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_any_causal_language_model(family, tmp_path):
    settings = dict(FAMILIES[family])
    settings |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(family, **settings)
    torch.manual_seed(0)
    language = AutoModelForCausalLM.from_config(config)
    spark = allspark.build(
        "allspark-tiny", language=language, tokenizer=byte_tokenizer(), modality=["point_cloud", "language", "table"]
    )
    assert torch.equal(spark.model.language.get_input_embeddings().weight, language.get_input_embeddings().weight)
    points, _ = made("point_cloud", 3)
    rows, _ = made("table", 2)
    items = [*points, *rows, "a river", "the mouth of a long and winding river"]
    vectors = spark.embed(items)
    alone = torch.cat([spark.embed(item) for item in items])
    assert (vectors - alone).abs().max() < 1e-4
    assert len(spark.ask(points[:2], "What?", max_new_tokens=2)) == 2
    spark.save(tmp_path / "m")
    assert torch.equal(allspark.load(tmp_path / "m").embed(items), vectors)
    batch = spark.processor([{"point_cloud": points[0]}], answers=["a chair"])
    loss = spark.model.train()(**batch).loss
    loss.backward()
    assert spark.model.bridges["point_cloud"].queries.weight.grad.abs().sum() > 0


def test_slots_that_do_not_match_are_refused(tiny):
    (item,), _ = made("rgb", 1)
    batch = tiny.processor([{"rgb": item}])
    batch["slots"][0, (batch["slots"][0] > 0).nonzero()[0]] = 0
    with pytest.raises(ValueError, match="2 slots for rgb, but 1 items of 3 vectors"):
        tiny.model(**batch)


def test_garbage_in_padded_positions_changes_nothing(tiny):
    batch = tiny.processor([{"language": allspark.Text("short")}, {"language": allspark.Text("a much longer text")}])
    with torch.no_grad():
        one = tiny.model(**batch).pooled
        batch["input_ids"][batch["attention_mask"] == 0] = 77
        two = tiny.model(**batch).pooled
    assert (one - two).abs().max() < 1e-5


def test_prompts_are_not_part_of_the_item(tiny):
    text = allspark.Text("a river")
    batch = tiny.processor([{"language": text}])
    assert int(batch["content"].sum()) == len(tiny.processor.ids("a river"))
    asked = tiny.processor([{"language": text}], questions=["What?"], answers=["water"])
    assert int(asked["content"].sum()) == int(batch["content"].sum())
    assert int((asked["labels"] != -100).sum()) == len(tiny.processor.ids(" water"))


def test_missing_weights_are_made_anew_not_left_as_garbage(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    from allspark.model import AllSparkModel

    tiny.save(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    lacking = {k: v for k, v in state.items() if not k.startswith("bridges.rgb")}
    save_file(lacking, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model, report = AllSparkModel.from_pretrained(tmp_path, output_loading_info=True)
    assert report["missing_keys"]
    values = torch.cat([p.detach().flatten() for p in model.bridges["rgb"].parameters()])
    assert values.isfinite().all()
    assert values.abs().max() < 10
    assert torch.equal(model.bridges["sar"].queries.weight, tiny.model.bridges["sar"].queries.weight)


@pytest.mark.parametrize("kind", ["resampler", "linear"])
def test_bridges_ignore_masked_tokens(kind):
    torch.manual_seed(0)
    bridge = make_bridge(16, 24, kind=kind, queries=3)
    features, mask = torch.randn(2, 5, 16), torch.tensor([[True] * 5, [True, True, False, False, False]])
    out = bridge(features, mask)
    assert out.shape == (2, 3, 24)
    features[1, 2:] = 1e3
    assert torch.allclose(bridge(features, mask), out, atol=1e-5)
    assert torch.allclose(bridge(features[1:, :2], None), out[1:], atol=1e-5)
    with pytest.raises(ValueError, match="resampler, linear"):
        make_bridge(16, 24, kind="magic")
    assert {Resampler, LinearBridge} == {type(make_bridge(4, 4, kind=k)) for k in ("resampler", "linear")}


def fit(head, pooled, tokens, target, steps=150):
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    first = None
    for _ in range(steps):
        loss = head.loss(head(pooled, tokens), target)
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return first, loss.item()


class TestHeads:
    def setup_method(self):
        torch.manual_seed(0)
        self.pooled = torch.randn(8, 16)
        self.tokens = Tokens(torch.randn(8, 6, 12), None, (2, 3))

    def test_classification(self):
        head = make_head(16, kind="classification", labels=["a", "b"])
        first, last = fit(head, self.pooled, None, (self.pooled[:, 0] > 0).long())
        assert last < 0.2 * first
        with pytest.raises(ValueError, match="at least 2"):
            make_head(16, kind="classification", labels=["a"])

    def test_regression_in_its_own_units(self):
        head = make_head(16, kind="regression", mean=1000.0, std=200.0)
        target = 1000 + 200 * self.pooled[:, :1]
        target[0] = torch.nan
        _, last = fit(head, self.pooled, None, target, 400)
        assert last < 0.05
        assert (head(self.pooled)[1:] - target[1:]).abs().max() < 150

    def test_segmentation_on_a_grid(self):
        head = make_head(16, kind="segmentation", labels=["a", "b", "c"], width=12)
        assert head(self.pooled, self.tokens).shape == (8, 3, 2, 3)
        target = torch.zeros(8, 8, 12, dtype=torch.long)
        target[:, :, 6:] = 1
        first, last = fit(head, self.pooled, Tokens(torch.randn(1, 6, 12).repeat(8, 1, 1), None, (2, 3)), target)
        assert last < 0.7 * first

    def test_trajectory_learns_its_futures(self):
        head = make_head(16, kind="trajectory", steps=4, modes=3)
        side = torch.where(self.pooled[:, :1, None] > 0, 1.0, -1.0).repeat(1, 1, 2)
        target = torch.arange(1, 5)[None, :, None] * side
        assert head(self.pooled).shape == (8, 3, 9)
        first, last = fit(head, self.pooled, None, target, 300)
        assert last < 0.3 * first

    def test_an_unknown_kind(self):
        with pytest.raises(ValueError, match="segmentation"):
            make_head(16, kind="poetry")

    def test_a_head_in_the_model(self, tmp_path):
        spark = allspark.build(
            "allspark-tiny", modality=["rgb"], heads={"cover": {"kind": "classification", "labels": ["a", "b"]}}
        )
        items, labels = made("rgb", 4)
        batch = spark.processor([{"rgb": item} for item in items])
        output = spark.model(**batch, head="cover", target=torch.tensor(labels))
        assert output.logits.shape == (4, 2)
        output.loss.backward()
        spark.save(tmp_path)
        assert allspark.load(tmp_path).config.heads["cover"]["labels"] == ["a", "b"]


def test_build_is_the_same_for_the_same_seed_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    one = allspark.build("allspark-tiny", modality=["sar"], seed=1)
    assert torch.equal(before, torch.rand(3))
    two = allspark.build("allspark-tiny", modality=["sar"], seed=1)
    three = allspark.build("allspark-tiny", modality=["sar"], seed=2)
    (item,), _ = made("sar", 1)
    assert torch.equal(one.embed(item), two.embed(item))
    assert not torch.equal(one.embed(item), three.embed(item))
    with pytest.raises(ValueError, match="allspark-tiny"):
        allspark.build("huge")


def test_the_shipped_weights_fit_their_budget_and_are_not_pickles():
    from allspark.presets import WEIGHTS

    files = list((WEIGHTS / "allspark-base").iterdir())
    assert sum(file.stat().st_size for file in files) <= 64 * 2**20
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".model", ".md"}
