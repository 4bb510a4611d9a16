"""Metrics by hand and against libraries; baselines on series whose answer is known."""

import math

import numpy as np
import pytest
import torch
from made_series import network, series, task, waves

from allspark.spatiotemporal.baselines import climatology, linear, persistence, seasonal
from allspark.spatiotemporal.batches import in_order
from allspark.spatiotemporal.metrics import Scores
from allspark.spatiotemporal.optical_flow import optical_flow
from allspark.spatiotemporal.score import score
from allspark.spatiotemporal.simvp import SimVP


def field(*values):
    return torch.tensor(values).reshape(1, 1, 1, 2, -1)


def scores(forecast, truth, known=None, still=None, **changes):
    found = Scores(task(peak=10.0, thresholds=(5.0,), **changes))
    known = torch.ones_like(truth, dtype=torch.bool) if known is None else known
    found.update(forecast, truth, known, torch.zeros_like(truth) if still is None else still)
    return found.result()


def test_errors_by_hand():
    found = scores(field(1.0, 2.0, 3.0, 8.0), field(1.0, 4.0, 3.0, 4.0))
    assert found["mae"] == pytest.approx(6 / 4)
    assert found["rmse"] == pytest.approx(math.sqrt(20 / 4))
    assert found["mae_sum"] == pytest.approx(0.6)
    assert found["mse_sum"] == pytest.approx(0.2)
    assert found["psnr"] == pytest.approx(10 * math.log10(100 / 5))
    assert found["skill"] == pytest.approx(1 - 20 / (1 + 16 + 9 + 16))


def test_missing_values_never_count():
    known = field(1.0, 0.0, 1.0, 1.0).bool()
    one = scores(field(1.0, 999.0, 3.0, 4.0), field(1.0, 0.0, 5.0, 4.0), known)
    other = scores(field(1.0, float("nan"), 3.0, 4.0), field(1.0, 0.0, 5.0, 4.0), known)
    assert one["mae"] == other["mae"] == pytest.approx(2 / 3)


def test_rain_scores_by_hand():
    found = scores(field(6.0, 6.0, 1.0, 7.0), field(6.0, 1.0, 9.0, 5.0))
    assert found["csi_5"] == pytest.approx(2 / 4)
    assert found["pod_5"] == pytest.approx(2 / 3)
    assert found["far_5"] == pytest.approx(1 / 3)
    assert math.isnan(scores(field(1.0, 1.0, 1.0, 1.0), field(1.0, 1.0, 1.0, 1.0))["csi_5"])


def test_sums_do_not_depend_on_how_windows_are_batched():
    random = torch.Generator().manual_seed(0)
    truth, forecast, still = (torch.randn(6, 3, 1, 12, 12, generator=random) for _ in range(3))
    known = torch.rand(truth.shape, generator=random) > 0.2
    whole, parts = Scores(task()), Scores(task())
    whole.update(forecast, truth, known, still)
    for i in range(6):
        parts.update(forecast[i : i + 1], truth[i : i + 1], known[i : i + 1], still[i : i + 1])
    one, other = whole.result(), parts.result()
    assert one.pop("rmse_by_lead") == pytest.approx(other.pop("rmse_by_lead"))
    assert {k: v for k, v in one.items() if k != "units"} == pytest.approx(
        {k: v for k, v in other.items() if k != "units"}, nan_ok=True
    )


def test_ssim_and_lead_times():
    truth = waves(3, 16, 16)[None]
    same = scores(truth, truth)
    assert same["ssim"] == pytest.approx(1)
    assert same["psnr"] == pytest.approx(100)
    noisy = truth + torch.tensor([0.0, 1.0, 2.0]).reshape(1, 3, 1, 1, 1)
    assert scores(noisy, truth)["rmse_by_lead"] == pytest.approx([0, 1, 2], abs=1e-6)
    from skimage.metrics import structural_similarity

    blurred = truth + 0.5 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    wanted = np.mean([
        structural_similarity(t.numpy(), f.numpy(), data_range=10.0, gaussian_weights=True, sigma=1.5,
                              use_sample_covariance=False, full=True)[1].mean()
        for t, f in zip(truth[0, :, 0].double(), blurred[0, :, 0].double(), strict=True)
    ])  # fmt: skip
    assert scores(blurred, truth)["ssim"] == pytest.approx(wanted, abs=1e-9)


def test_bad_forecasts_are_refused():
    with pytest.raises(ValueError, match="wanted the same"):
        scores(field(1.0, 2.0), field(1.0, 2.0, 3.0, 4.0))
    with pytest.raises(ValueError, match="not finite"):
        scores(field(1.0, float("nan"), 1.0, 1.0), field(1.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="was counted"):
        Scores(task()).result()


def test_persistence_repeats_and_has_no_skill():
    data = series()
    batch = next(in_order(data, "test", 4))
    found = persistence(data)(batch)
    assert torch.equal(found[:, 0], batch.values[:, -1])
    assert score(persistence(data), data, pictures=False)["skill"] == 0


def test_seasonal_persistence_and_climatology_know_a_pure_season():
    data = series(waves(60, seed=0) * 0 + torch.sin(torch.arange(60) * 2 * math.pi / 10).reshape(-1, 1, 1, 1) + 5)
    for baseline in (seasonal, climatology):
        assert score(baseline(data), data, pictures=False)["rmse"] < 1e-5
    assert seasonal(series(season=None)) is None


def test_regression_solves_what_is_linear_and_needs_no_future():
    data = series()
    assert score(linear(data), data, pictures=False)["skill"] > 0.98
    changed = data.segments[0].clone()
    changed[37:] = 0  # the fit must not see validation or test
    other = series(changed)
    batch = next(in_order(data, "train", 4))
    torch.testing.assert_close(linear(data)(batch), linear(other)(batch))


def test_flow_carries_what_moves():
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    frames = torch.stack([torch.exp(-((rows - 20) ** 2 + (columns - 10 - 2 * t) ** 2) / 40) for t in range(30)])[
        :, None
    ]
    data = series(frames * 10, stride=8)
    flow, still = (score(f(data), data, "train", 2, pictures=False)["rmse"] for f in (optical_flow, persistence))
    assert flow < 0.4 * still
    assert optical_flow(network()) is None


def test_the_convolutional_baseline_has_simvps_shape():
    data, ring = series(stride=4), network()
    batch = next(in_order(data, "train", 2)).prepared
    model = SimVP(data.task)
    assert model("waves", batch.frames, batch.known, batch.calendar).shape == (2, 3, 1, 12, 10)
    batch = next(in_order(ring, "train", 2)).prepared
    model = SimVP(ring.task, adjacency=ring.adjacency)
    assert model("ring", batch.frames, batch.known, batch.calendar).shape == (2, 3, 1, 9, 1)
    with pytest.raises(ValueError, match="give its adjacency"):
        SimVP(ring.task)
