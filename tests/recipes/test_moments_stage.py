import argparse
import zipfile
from pathlib import Path

import moments_stage
import pytest
import torch
from moments_stage import FINER, Ridge, fill, made_tasks, quieten, still, train
from packed import Packed

import allspark
from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.encoders.lite import LiteFeatures
from allspark.encoders.multispectral import MultispectralEncoder
from allspark.evaluate.sources import SOURCES, made_series

TASKS = (1, 6)


@pytest.fixture(scope="module")
def made() -> Packed:
    record = modalities.get("multispectral")
    samples, labels = [], []
    for number in TASKS:
        for place, item in enumerate(made_series._task(number)):
            samples.append(record.prepare(item, **record.input))
            labels.append(f"task-{number}/{place // made_series.ITEMS}")
    return Packed("made_series", "multispectral", samples, labels, {})


def encoder() -> MultispectralEncoder:
    torch.manual_seed(0)
    return MultispectralEncoder(width=32, depth=1, heads=2, rank=8, moments=6).eval()


def test_ridge_is_the_regression_of_one_hot_classes():
    torch.manual_seed(0)
    x, y = torch.randn(12, 5), torch.arange(12) % 3
    ridge = Ridge()
    unit = torch.nn.functional.normalize(x, dim=-1)
    centred = unit - unit[:9].mean(0)
    target = torch.nn.functional.one_hot(y[:9]).float()
    penalty = centred[:9].square().sum() * torch.tensor(-4.0).exp()
    weights = torch.linalg.inv(centred[:9].T @ centred[:9] + penalty * torch.eye(5)) @ centred[:9].T
    wanted = centred[9:] @ weights @ (target - target.mean(0)) * torch.tensor(2.0).exp()
    torch.testing.assert_close(ridge(x[:9], y[:9], x[9:]).detach(), wanted, rtol=1e-3, atol=1e-4)


def test_tasks_are_read_off_the_labels(made):
    tasks = made_tasks(made.labels)
    assert [len(task) for task in tasks] == [made_series.classes_of(number) for number in TASKS]
    assert sorted(row for task in tasks for rows in task for row in rows) == list(range(len(made.labels)))


def test_only_the_moments_learn_and_the_tasks_get_easier(made, capsys, monkeypatch):
    monkeypatch.setattr(moments_stage, "LOG_EVERY", 40)
    model = encoder()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    collate = modalities.get("multispectral").collate
    rest, numbers = still(model, made, collate)
    assert numbers is None
    whole = model(**collate(made.samples[: made_series.ITEMS]))
    road, _ = model.road(**collate(made.samples[: made_series.ITEMS]))
    alone = (whole.features - road).mean(1)
    torch.testing.assert_close(rest[: made_series.ITEMS], alone, rtol=0.05, atol=0.05)  # bf16 where there is
    options = argparse.Namespace(
        modality="multispectral", steps=80, labelled=0.3, alone=0.2, lr=1e-2, seed=0, principal=False
    )
    train(model, [made], options)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if key.startswith("moments.")}
    first, last = (float(line.rsplit(" ", 1)[1]) for line in capsys.readouterr().out.strip().splitlines())
    assert last > first


def test_a_linear_road_learns_from_the_items_mean_numbers_alone(capsys, monkeypatch):
    monkeypatch.setattr(moments_stage, "LOG_EVERY", 40)
    record = modalities.get("point_cloud")
    entries = [e for e in SOURCES["made_shape_tasks"].entries(Path(), "train") if e.group in ("task-1", "task-2")]
    samples = [record.prepare(entry.make(), points=256, groups=16, neighbours=8) for entry in entries]
    made = Packed("made_shape_tasks", "point_cloud", samples, [entry.label for entry in entries], {})
    torch.manual_seed(0)
    model = record.encoder(width=24, depth=1, heads=2, hidden=16, moments=True).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    rest, numbers = still(model, made, record.collate)
    whole = model(**record.collate(samples[:20]))
    alone = masked_mean(whole.features, whole.mask) - model.moments(numbers[:20, 0])
    torch.testing.assert_close(rest[:20], alone.detach(), rtol=0.05, atol=0.05)
    options = argparse.Namespace(
        modality="point_cloud", steps=80, labelled=0.3, alone=0.2, lr=1e-2, seed=0, principal=False
    )
    train(model, [made], options)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"moments.out.weight", "moments.centre", "moments.spread"}
    first, last = (float(line.rsplit(" ", 1)[1]) for line in capsys.readouterr().out.strip().splitlines())
    assert last > first


def chips(count: int) -> Packed:
    torch.manual_seed(1)
    flags = torch.tensor([True, False, False, False, False])
    samples = [
        {"pixels": torch.randn(5, 64, 64) * (1 + i % 3), "valid": torch.ones(64, 64, dtype=torch.bool),
         "polarisations": flags} for i in range(count)
    ]  # fmt: skip
    return Packed("mstar10", "sar", samples, [str(i % 3) for i in range(count)], {})


def test_a_principal_road_hands_on_the_axes_of_largest_variance():
    record, source = modalities.get("sar"), chips(60)
    torch.manual_seed(0)
    model = record.encoder(width=24, depth=1, heads=2, stem=[8, 8, 16], moments=True).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    rest, numbers = still(model, source, record.collate)
    train(model, [source], argparse.Namespace(modality="sar", principal=True))
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"moments.out.weight", "moments.centre", "moments.spread"}
    with torch.no_grad():
        said = model.moments(numbers[:, 0])
        rows = model.moments.standard(numbers[:, 0])
    rows[:, : model.finer] *= FINER
    rows, said = rows - rows.mean(0), said - said.mean(0)
    kept = torch.linalg.svdvals(rows)[:24].square().sum() / rows.square().sum()
    scale = said.norm() / (kept.sqrt() * rows.norm())
    wanted = torch.linalg.svdvals(rows)[:24] * scale
    torch.testing.assert_close(torch.linalg.svdvals(said), wanted, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(said.norm(dim=1).mean(), (rest - rest.mean(0)).norm(dim=1).mean(), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("name", "config"),
    [("sar", {"width": 24, "depth": 1, "heads": 2, "stem": [8, 8, 16]}),
     ("rgb", {"width": 24, "depth": 1, "heads": 2, "deepest": True}),
     ("point_cloud", {"width": 24, "depth": 1, "heads": 2, "hidden": 16})],
)  # fmt: skip
def test_a_quieter_transformer_says_the_same(name, config):
    record = modalities.get(name)
    torch.manual_seed(0)
    model = record.encoder(**config).eval()
    if name == "point_cloud":
        cloud = allspark.PointCloud(torch.rand(300, 3).numpy())
        batch = record.collate([record.prepare(cloud, points=256, groups=16, neighbours=8)])
    else:
        batch = record.collate(chips(3).samples)
        if name == "rgb":
            batch = {"pixels": batch["pixels"][:, :3], "valid": batch["valid"]}
    with torch.no_grad():
        before = model(**batch).features
        quieten(model, 0.25)
        torch.testing.assert_close(model(**batch).features, 0.25 * before)


def test_an_encoder_made_before_clouds_had_pictures_gets_what_reads_them(tmp_path):
    record = modalities.get("point_cloud")
    settings = {**record.config, "width": 24, "depth": 1, "heads": 2, "hidden": 16}
    before = record.encoder(**{**settings, "pictures": False}).state_dict()
    state = {key: value for key, value in before.items() if not key.startswith("moments.")}
    model = record.encoder(**settings)
    with pytest.raises(ValueError, match=r"lacks pictures\.net.*--warm"):
        fill(model, state, "point_cloud", None)
    public = {f"their.{i}": torch.full_like(v, i % 5) for i, v in enumerate(LiteFeatures().state_dict().values())}
    torch.save(public, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "efficientnet_lite0_made.whl", "w") as archive:
        archive.write(tmp_path / "w.pth", "package/w.pth")
    fill(model, state, "point_cloud", tmp_path)
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in state.items())
    assert float(after["pictures.net.bn1.weight"].unique()) == 1  # the stem's second tensor
    del state["out.1.weight"]
    with pytest.raises(ValueError, match=r"lacks out\.1\.weight"):
        fill(model, state, "point_cloud", tmp_path)
