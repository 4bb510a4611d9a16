"""The loop: losses fall, ranks learn then freeze, a killed run goes on bit for bit, one command does it all."""

import json

import pytest
import torch
from made_series import network, series, waves

from allspark.spatiotemporal import UNISTD_TINY, Forecaster, UniSTD
from allspark.spatiotemporal.fit import Training, fit, parameter_groups, random_of, rate, start_from_data
from allspark.spatiotemporal.ranks import learning_ranks, rank_table
from allspark.spatiotemporal.score import model_forecast, score
from allspark.spatiotemporal.series import Series, pack, unpack, unpack_all
from allspark.spatiotemporal.simvp import SimVP
from allspark.spatiotemporal.weigh import weigh

SHORT = Training(steps=12, save_every=4, check_every=6, check_windows=4, tokens=128, most=4, rank_share=0.5, lr=3e-3)


def two():
    return {"waves": series(), "ring": network()}


def new(parts, **changes):
    return UniSTD(UNISTD_TINY.changed(tasks={name: part.task for name, part in parts.items()}, **changes), seed=3)


def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    parts = two()
    whole, broken, again = new(parts), new(parts), new(parts)
    fit(whole, parts, SHORT, tmp_path / "whole")
    fit(broken, parts, SHORT, tmp_path / "run", stop_at=4)  # before the ranks are frozen
    fit(new(parts), parts, SHORT, tmp_path / "run", stop_at=9)  # and after
    facts = fit(again, parts, SHORT, tmp_path / "run")
    assert facts["step"] == 12
    different = [k for k, v in whole.state_dict().items() if not torch.equal(v, again.state_dict()[k])]
    assert different == []
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [6, 12]
    with pytest.raises(ValueError, match="other settings"):
        fit(new(parts), parts, Training(steps=13), tmp_path / "run")


def test_ranks_move_then_are_whole_and_frozen():
    parts = two()
    model = new(parts)
    fit(model, parts, SHORT, stop_at=5)
    learnt = [r for ranks in rank_table(model).values() for r in ranks]
    assert len({round(r, 4) for r in learnt}) > 1
    assert any(r != round(r) for r in learnt)
    model = new(parts)
    fit(model, parts, SHORT)
    assert learning_ranks(model) == []
    assert all(r == round(r) for ranks in rank_table(model).values() for r in ranks)


def test_training_beats_persistence_and_its_own_start():
    parts = {"waves": series(waves(120).pow(2) / 10)}  # no linear function of its past
    model = new(parts, linear=True)
    settings = Training(steps=60, check_every=20, tokens=480, most=8, lr=3e-3, check_windows=8)
    facts = fit(model, parts, settings)
    start, end = (facts["history"][i]["loss"]["waves"] for i in (0, -1))
    assert end < 0.7 * start
    found = score(model_forecast(model, parts["waves"]), parts["waves"], "test", pictures=False)
    assert found["skill"] > 0.8


def test_a_step_touches_its_task_alone():
    parts = two()
    model = new(parts)
    before = {k: v.clone() for k, v in model.parts["ring"].state_dict().items()}
    settings = Training(steps=3, check_every=3, check_windows=2, tokens=128, most=2, temperature=1.0)
    only = {"waves": parts["waves"]}
    fit(model, only, settings)
    assert all(torch.equal(v, before[k]) for k, v in model.parts["ring"].state_dict().items())


def test_gradients_are_averaged_over_processes():
    parts = {"waves": series()}
    calls = []
    fit(new(parts), parts, Training(steps=2, check_every=2, check_windows=1, tokens=60, most=2),
        average=lambda grad: calls.append(grad.shape) or grad)  # fmt: skip
    assert len(calls) > 10
    draws = [torch.randint(1000, (5,), generator=random_of(0, 7, process)).tolist() for process in (0, 1, 0)]
    assert draws[0] == draws[2] != draws[1]


def test_a_limit_in_seconds_ends_a_run_and_freezes_its_ranks():
    parts = {"waves": series()}
    model = new(parts)
    settings = Training(
        steps=10_000, seconds=0.5, clock="processor", check_every=5_000, check_windows=1, tokens=60, most=2
    )
    facts = fit(model, parts, settings)
    assert 0.5 <= facts["processor"] < 10
    assert facts["seconds"] > 0
    assert 0 < facts["step"] == facts["best_step"] < 10_000
    assert learning_ranks(model) == []
    with pytest.raises(ValueError, match="wanted 'wall' or 'processor'"):
        fit(new(parts), parts, Training(clock="sun"))
    with pytest.raises(ValueError, match="clocks would disagree"):
        fit(new(parts), parts, settings, average=lambda grad: grad)


def test_the_convolutional_baseline_trains_in_the_same_loop():
    parts = {"waves": series()}
    model = SimVP(parts["waves"].task, hidden=8, translator=16, depth=1)
    facts = fit(model, parts, Training(steps=30, check_every=10, check_windows=4, tokens=240, most=8, lr=3e-3))
    assert facts["history"][-1]["loss"]["waves"] < 0.5 * facts["history"][0]["loss"]["waves"]


def test_ranks_cross_units_however_the_run_is_limited_and_linear_paths_go_slowly():
    parts = {"waves": series()}
    for limit in ({"steps": 60}, {"steps": 10**6, "seconds": 1.5, "clock": "processor"}):
        model = new(parts)
        settings = Training(**limit, rank_share=0.9, check_every=10**6, check_windows=1, tokens=60, most=2, lr=3e-3)
        fit(model, parts, settings)
        ranks = [r for values in rank_table(model).values() for r in values]
        assert max(ranks) - min(ranks) >= 1
    groups = parameter_groups(new(parts), Training(lr=1e-2))
    slow = next(group for group in groups if group["base"] == pytest.approx(1e-3))
    assert slow["weight_decay"] == 0
    assert sorted(p.shape for p in slow["params"]) == sorted(
        p.shape for name, p in new(parts).named_parameters() if ".linear." in name
    )


def test_a_network_counts_as_much_as_it_holds_beyond_its_training_part():
    parts = two()
    model = new(parts)
    start_from_data(model, parts)
    with torch.no_grad():
        for part in model.parts.values():
            part.decoder.out.bias.fill_(5.0)  # says the same everywhere, which the linear path knows better
    shares = weigh(model, parts)
    assert all(0 <= share < 0.1 for share in shares.values())
    assert {name: part.share.item() for name, part in model.parts.items()} == pytest.approx(shares)
    with torch.no_grad():
        model.parts["waves"].linear.seasonal.bias.sub_(0.3)  # which the network now makes good
        model.parts["waves"].decoder.out.bias.fill_(0.3)
    assert weigh(model, parts)["waves"] == pytest.approx(1, abs=0.1)
    plain = new({"waves": parts["waves"]}, linear=False)
    assert weigh(plain, {"waves": parts["waves"]}) == {}


def test_a_loss_that_is_no_number_stops_the_run():
    parts = {"waves": series()}
    model = new(parts)
    with torch.no_grad():
        model.parts["waves"].decoder.out.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        fit(model, parts, Training(steps=2))
    short = Series(series().task, [waves(20)])
    with pytest.raises(ValueError, match="a window takes 7"):
        fit(new(parts), {"waves": short}, Training(steps=2))


def test_the_rate_warms_up_and_falls():
    rates = [rate(i / 100) for i in range(101)]
    assert rates[0] < rates[3] == max(rates)
    assert rates[100] == pytest.approx(0.01)


def test_packed_series_come_back(tmp_path):
    for name, part in two().items():
        pack(part, tmp_path / f"{name}.safetensors")
    back = unpack(tmp_path / "ring.safetensors")
    assert back.task == network().task
    assert torch.equal(back.adjacency, network().adjacency)
    assert torch.equal(back.segments[0], network().segments[0])
    assert list(unpack_all(tmp_path)) == ["ring", "waves"]
    with pytest.raises(FileNotFoundError, match="no packed series rain"):
        unpack_all(tmp_path, ["rain"])


def test_one_command_trains_and_saves(tmp_path, capsys):
    from allspark.spatiotemporal.train import main

    pack(series(), tmp_path / "packed" / "waves.safetensors")
    arguments = [
        "--packed", str(tmp_path / "packed"), "--out", str(tmp_path / "run"), "--preset", "unistd-tiny", "--trunk",
        "random", "--steps", "4", "--check-every", "2", "--tokens", "120", "--check-windows", "2",
    ]  # fmt: skip
    main(arguments)
    assert "best at step" in capsys.readouterr().out
    assert Forecaster.load(tmp_path / "run" / "model").forecast(waves(6))["height"].shape == (3, 12, 10)
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert len(recipe["data"]) == 64
    assert recipe["settings"]["steps"] == 4
    with pytest.raises(FileNotFoundError, match="there is no trunk"):
        main([*arguments[:3], str(tmp_path / "other"), *arguments[4:7], "nowhere", *arguments[8:]])
