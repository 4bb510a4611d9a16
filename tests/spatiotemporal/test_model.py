"""The model: any frames, channels and sizes; missing pixels; what learns and what does not; pretrained blocks."""

import math
from itertools import pairwise

import pytest
import torch
from made_series import network, series, task, waves
from safetensors.torch import save_file

from allspark.spatiotemporal.batches import batch_of, random_batch, turned
from allspark.spatiotemporal.config import UNISTD_BASE, UNISTD_TINY, UniSTDConfig
from allspark.spatiotemporal.fit import masked_mse, start_from_data
from allspark.spatiotemporal.model import UniSTD
from allspark.spatiotemporal.motion import carried, flow_of
from allspark.spatiotemporal.normalise import calendar, fill, prepare, prepare_targets, restore
from allspark.spatiotemporal.season import Season
from allspark.spatiotemporal.series import Series
from allspark.spatiotemporal.tasks import Task, split_by_time
from allspark.spatiotemporal.trunk import encoder_blocks, frozen_share, random_blocks, vit_blocks


def tiny(*tasks, **changes):
    return UniSTD(UNISTD_TINY.changed(tasks={t.name: t for t in tasks}, **changes))


def batch(record, high, wide, count=2):
    random = torch.Generator().manual_seed(0)
    frames = torch.randn(count, record.frames_in, len(record.channels), high, wide, generator=random)
    return frames, torch.ones_like(frames, dtype=torch.bool), calendar(record, [None] * count)


@pytest.mark.parametrize("size", [(12, 10), (59, 43), (8, 9)])
@pytest.mark.parametrize(("inside", "out", "channels", "targets"), [(4, 3, 1, 1), (1, 5, 2, 1), (3, 1, 1, 3)])
def test_any_frames_channels_and_sizes(size, inside, out, channels, targets):
    names = tuple(f"in{i}" for i in range(channels))
    record = task(
        frames_in=inside, frames_out=out, channels=names, targets=tuple(f"out{i}" for i in range(targets)),
        stride=4, mean=(0.0,) * (channels + targets), std=(1.0,) * (channels + targets),
    )  # fmt: skip
    assert tiny(record)("waves", *batch(record, *size)).shape == (2, out, targets, *size)


def test_it_starts_as_persistence_and_then_as_least_squares():
    data = series()
    model = tiny(data.task)
    parts = batch_of(data, data.starts("train")[:3]).prepared
    output = model("waves", parts.frames, parts.known, parts.calendar)
    torch.testing.assert_close(output, parts.frames[:, -1:].expand_as(output))
    found = batch_of(data, data.starts("test"))
    before = masked_mse(
        model("waves", found.prepared.frames, found.prepared.known, found.prepared.calendar), found.wanted,
        found.targets_known,
    )  # fmt: skip
    start_from_data(model, {"waves": data})
    after = masked_mse(
        model("waves", found.prepared.frames, found.prepared.known, found.prepared.calendar), found.wanted,
        found.targets_known,
    )  # fmt: skip
    assert after < 0.2 * before  # a travelling sine is a linear function of its past


def test_the_trunk_is_frozen_and_everything_else_learns():
    data = series()
    model = tiny(data.task)
    names = {name for name, _ in model.learning()}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(".base." in name or ".norm" in name or ".mlp." in name for name in frozen)
    assert any("ranks" in name for name in names)
    assert any("temporal.fc2" in name for name in names)
    found = batch_of(data, data.starts("train")[:2]).prepared
    with torch.no_grad():
        for parameter in (model.parts["waves"].decoder.out.weight, *(b.temporal.fc2.weight for b in model.trunk)):
            torch.nn.init.normal_(parameter, std=0.1)
        for block in model.trunk:
            for name in ("q", "k", "v", "proj"):
                torch.nn.init.normal_(getattr(block.block.attn, name).up.weight, std=0.1)
    model("waves", found.frames, found.known, found.calendar).pow(2).sum().backward()
    assert [name for name, p in model.learning() if p.grad is None] == []
    assert [name for name, p in model.named_parameters() if not p.requires_grad and p.grad is not None] == []
    assert 0 < frozen_share(model) < 1
    assert all(p.requires_grad for p in tiny(data.task, train_trunk=True).trunk.parameters())


def test_without_adapters_or_temporal_module():
    record = series().task
    model = tiny(record, temporal=False, experts=dict.fromkeys(("q", "k", "v", "proj", "temporal"), 0))
    assert not [name for name, _ in model.learning() if "trunk" in name]
    assert model("waves", *batch(record, 12, 10)).shape == (2, 3, 1, 12, 10)


def test_missing_pixels_reach_nothing():
    data = series()
    values, known = data.window(0, 0)
    hole = known.clone()
    hole[:, :, 3:5, 3:5] = False
    record = data.task
    wild = torch.where(hole, values, 1e6)
    clean = torch.where(hole, values, 0.0)
    one, other = (
        prepare(record, v[None, : record.frames_in], hole[None, : record.frames_in], [0.0]) for v in (wild, clean)
    )
    assert torch.equal(one.frames, other.frames)
    wanted = torch.zeros(1, 3, 1, 12, 10)
    assert masked_mse(wanted + 5 * ~hole[None, 4:], wanted, hole[None, 4:]) == 0


def test_gaps_are_filled_from_the_past_then_the_future():
    frames = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1, 1)
    known = torch.tensor([False, True, False]).reshape(1, 3, 1, 1, 1)
    assert fill(frames, known).flatten().tolist() == [2.0, 2.0, 2.0]
    assert fill(frames, ~known).flatten().tolist() == [1.0, 1.0, 3.0]
    assert fill(frames, torch.zeros_like(known)).flatten().tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("changes", [{}, {"anchor": "mean"}, {"transform": "log1p", "lower": 0.0}])
def test_normalising_and_restoring_are_inverse(changes):
    data = series(**changes)
    found = batch_of(data, data.starts("test"))
    back = restore(data.task, prepare_targets(data.task, found.targets, found.prepared.level), found.prepared.level)
    torch.testing.assert_close(back, found.targets, rtol=1e-4, atol=1e-4)
    assert found.wanted.std() == pytest.approx(1, abs=0.5)


def test_statistics_come_from_the_training_part_alone():
    values = waves()
    changed = values.clone()
    changed[40:] += 1000  # validation and test
    assert series(values).task.mean == series(changed).task.mean
    assert series(values).task.std == series(changed).task.std


def test_splits_leave_a_gap_and_never_share_a_frame():
    parts = split_by_time([50, 30], (0.6, 0.2), 2)
    for segment, length in ((0, 50), (1, 30)):
        spans = [(a, b) for name in ("train", "validation", "test") for s, a, b in parts[name] if s == segment]
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(later[0] - sooner[1] == 2 for sooner, later in pairwise(spans))


def test_a_sensor_network_enters_through_its_adjacency():
    data = network()
    model = tiny(data.task)
    start_from_data(model, {"ring": data})
    assert torch.equal(model.parts["ring"].stem.adjacency, data.adjacency)
    frames, known, told = batch(data.task, 9, 1)
    torch.nn.init.normal_(model.parts["ring"].decoder.out.weight)
    with torch.no_grad():
        plain = model("ring", frames, known, told)
        model.parts["ring"].stem.adjacency.copy_(torch.eye(9))
        alone = model("ring", frames, known, told)
    assert plain.shape == (2, 3, 1, 9, 1)
    assert not torch.allclose(plain, alone)
    with pytest.raises(ValueError, match="a network of 9 sensors"):
        model("ring", *batch(data.task, 8, 1))
    with pytest.raises(ValueError, match="without adjacency"):
        start_from_data(model, {"ring": Series(data.task, data.segments)})


def test_wrong_batches_and_tasks_are_refused():
    record = series().task
    model = tiny(record)
    with pytest.raises(ValueError, match=r"wanted \(B, 4, 1, H, W\)"):
        model("waves", torch.zeros(1, 3, 1, 12, 10), torch.ones(1, 3, 1, 12, 10).bool(), torch.zeros(1, 8))
    with pytest.raises(ValueError, match="wanted one of waves"):
        model("rain", *batch(record, 12, 10))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames_in": 0}, "at least one"),
        ({"stride": 3}, "power of two"),
        ({"transform": "sqrt"}, "transform 'sqrt'"),
        ({"periods": ("decade",)}, "leave it out"),
        ({"anchor": "mean", "targets": ("other",)}, "anchor 'none'"),
        ({"motion": True, "graph": True}, "set motion to false"),
    ],
)
def test_impossible_records_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        task(**changes)


def test_records_and_configs_survive_json():
    import json

    data = series()
    config = UNISTD_TINY.changed(tasks={"waves": data.task}, licences={"made": "none"})
    document = json.loads(json.dumps(config.to_json()))
    assert "mean" not in document["tasks"]["waves"]
    assert UniSTDConfig.from_json(document, json.loads(json.dumps(config.statistics()))) == config
    with pytest.raises(ValueError, match="no statistics of task"):
        UniSTDConfig.from_json(document, {})
    with pytest.raises(ValueError, match="which no forecaster has"):
        UniSTDConfig.from_json({**document, "colour": 1}, config.statistics())
    with pytest.raises(ValueError, match="field 'colour'"):
        Task.from_json({**data.task.to_json(), "colour": 1})
    with pytest.raises(ValueError, match="model type 'llama'"):
        UniSTDConfig.from_json({"model_type": "llama"})


def test_blocks_come_from_encoders_and_from_vits(tmp_path):
    from allspark.presets import WEIGHTS

    blocks = encoder_blocks(WEIGHTS / "allspark-base")
    model = UniSTD(UNISTD_BASE.changed(depth=3), blocks)
    weights = [block.block.attn.q.base.weight for block in model.trunk]
    torch.testing.assert_close(weights[0], blocks[0]["attn.q.weight"])
    torch.testing.assert_close(weights[2], blocks[0]["attn.q.weight"])  # used again where the trunk is deeper
    with pytest.raises(ValueError, match="set width=256"):
        UniSTD(UNISTD_TINY, blocks)
    with pytest.raises(ValueError, match="no transformer blocks"):
        encoder_blocks(WEIGHTS / "allspark-base", "language")

    timm = pytest.importorskip("timm")
    vit = timm.models.VisionTransformer(img_size=32, embed_dim=32, depth=2, num_heads=2)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    trunk = UniSTD(UNISTD_TINY, vit_blocks(tmp_path / "vit.safetensors")).eval().trunk
    x = torch.randn(1, 6, 32)
    torch.testing.assert_close(trunk[0](x), vit.eval().blocks[0](x), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="other formats"):
        vit_blocks(tmp_path / "vit.bin")
    assert torch.equal(
        random_blocks(UNISTD_TINY, 3)[0]["attn.q.weight"], random_blocks(UNISTD_TINY, 3)[0]["attn.q.weight"]
    )


def test_a_place_knows_what_is_usual_at_an_instant():
    hour = torch.arange(24 * 12)
    day = torch.sin(hour * 2 * math.pi / 24) + 0.5 * torch.cos(3 * hour * 2 * math.pi / 24)
    weekday = 1 + 0.5 * (hour // 24 % 7 < 5)
    values = (10 + (day * weekday)[:, None, None, None] * torch.rand(1, 2, 12, 10)).float()
    record = {"channels": ("in", "out"), "periods": ("day", "week"), "share": (0.8, 0.1)}
    data = series(values, start=3 * 86_400.0, **record)
    season = Season(data.task)
    season.learn(data)
    found = batch_of(data, data.starts("test"))
    usual = season(found.prepared.calendar, (12, 10))
    torch.testing.assert_close(usual[:, :4], found.prepared.frames, atol=0.15, rtol=0)
    torch.testing.assert_close(usual[:, 4:], found.wanted, atol=0.15, rtol=0)
    assert season(found.prepared.calendar, (20, 30)).shape[-2:] == (20, 30)


def test_without_an_instant_the_linear_path_leaves_the_season_out():
    data = series()
    model = tiny(data.task)
    start_from_data(model, {"waves": data})
    path = model.parts["waves"].linear
    found = batch_of(data, data.starts("test")).prepared
    unknown = torch.zeros_like(found.calendar)
    before = path(found.frames, unknown)
    with torch.no_grad():
        path.seasonal.weight.fill_(7.0)
    assert torch.equal(path(found.frames, unknown), before)
    assert not torch.allclose(path(found.frames, found.calendar), before)


def test_a_season_is_learnt_in_pieces_and_from_known_values(monkeypatch):
    from allspark.spatiotemporal import season as module

    data = series()
    data.valid = [torch.ones_like(data.segments[0], dtype=torch.bool)]
    data.valid[0][:, :, 0, 0] = False
    data.valid[0][5:9, :, 1, 1] = False
    whole, pieces = Season(data.task), Season(data.task)
    whole.learn(data)
    data.segments[0][5:9, :, 1, 1] = 1e6  # what is not known must not matter
    monkeypatch.setattr(module, "PIECE", 3000)
    pieces.learn(data)
    torch.testing.assert_close(whole.season, pieces.season)
    assert (whole.season[:, :, 0, 0] == 0).all()
    unknown = Season(data.task)
    unknown.learn(Series(data.task, data.segments, start=[None]))
    assert (unknown.season == 0).all()


def blob(places, size=64):
    """(1, T, 1, size, size): a soft disc at each of these (row, column) places."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 60) for y, x in places])[None, :, None]


@pytest.mark.parametrize("step", [(0.0, 0.0), (2.0, -1.5), (-3.0, 4.0)])
@pytest.mark.parametrize("size", [64, 130])
def test_what_moved_is_carried_on(step, size):
    places = [(size / 2 + step[0] * (t - 3), size / 2 + step[1] * (t - 3)) for t in range(7)]
    frames = blob(places, size)
    flow = flow_of(frames[:, :4, 0])
    weight = frames[:, 3] > 0.3
    assert flow[:, 0][weight[:, 0]].mean().item() == pytest.approx(step[0], abs=0.25)
    assert flow[:, 1][weight[:, 0]].mean().item() == pytest.approx(step[1], abs=0.25)
    ahead = carried(frames[:, :4], 3)
    assert ahead.shape == (1, 3, 1, size, size)
    assert (ahead - frames[:, 4:]).abs().max() < 0.15
    if any(step):
        still = frames[:, 3:4].expand(-1, 3, -1, -1, -1)
        assert (ahead - frames[:, 4:]).pow(2).mean() < 0.05 * (still - frames[:, 4:]).pow(2).mean()


def test_fields_without_motion_texture_or_past_stay_where_they_are():
    assert torch.equal(flow_of(torch.full((1, 3, 20, 30), 4.0)), torch.zeros(1, 2, 20, 30))
    one = torch.rand(2, 1, 2, 9, 11)
    assert torch.equal(carried(one, 3), one.expand(-1, 3, -1, -1, -1))


def test_the_linear_path_follows_motion():
    values = blob([(20 + t / 2, 10 + t) for t in range(40)], 64)[0]
    still, moving = (series(values, motion=motion, augment="dihedral", periods=()) for motion in (False, True))
    errors = []
    for data in (still, moving):
        model = tiny(data.task)
        start_from_data(model, {"waves": data})
        found = batch_of(data, data.starts("validation"))
        parts = found.prepared
        errors.append(masked_mse(model("waves", parts.frames, parts.known, parts.calendar), found.wanted,
                                 found.targets_known))  # fmt: skip
    assert errors[1] < 0.1 * errors[0]


def test_both_ways_of_attending_are_the_encoders(monkeypatch):
    from allspark.encoders.vit import Attention
    from allspark.spatiotemporal import trunk

    attention, x = Attention(16, 4), torch.randn(2, 9, 16)
    torch.testing.assert_close(trunk.attended(attention, x), attention(x), rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(trunk, "FUSED_FROM", 1)
    torch.testing.assert_close(trunk.attended(attention, x), attention(x), rtol=1e-4, atol=1e-5)


def test_turns_are_the_eight_symmetries():
    field = torch.arange(9.0).reshape(1, 3, 3)
    assert len({tuple(turned(field, turn).flatten().tolist()) for turn in range(8)}) == 8
    assert {tuple(turned(torch.zeros(1, 2, 3), turn).shape) for turn in range(8)} == {(1, 2, 3)}


def test_random_batches_are_drawn_from_their_seed_and_hide_some_calendars():
    data = series()
    windows = data.starts("train")
    one, other = (random_batch(data, windows, 64, torch.Generator().manual_seed(5)) for _ in range(2))
    assert one.windows == other.windows
    hidden = (one.prepared.calendar == 0).all(1)
    assert 0 < hidden.sum() < 32


def test_the_rank_budget_counts_every_expert():
    from allspark.spatiotemporal.ranks import total_rank

    model = tiny(series().task)
    assert total_rank(model).item() == pytest.approx(model.config.rank_budget)
