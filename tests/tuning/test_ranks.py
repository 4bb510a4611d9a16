"""Two processes on gloo: the loss and the weights of one process on the same global batch."""

import json

import pytest
import torch
from accelerate import debug_launcher
from safetensors.torch import load_file

from allspark.finetune import run
from allspark.tuning.options import Options

from . import made


def values(folder, model, out, **more):
    return {
        "data": str(folder / "mixed.csv"), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads", "prompts", "bridges", "encoders", "lora"], "steps": 4, "lora_dropout": 0.0, "eval_every": 1,
        "modality_dropout": 0.5, "wide": 8, "wide_dropout": 0.0, **more,
    }  # fmt: skip


def fresh():
    """A forked process begins with its parent's idea of who it is."""
    from accelerate.state import AcceleratorState, GradientState

    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def two(given):
    """What each of the two processes does."""
    fresh()
    run(Options(**given))


@pytest.mark.parametrize("shard", [False, True], ids=["DDP", "FSDP"])
def test_two_ranks_are_one_process(tiny_folder, tmp_path, shard):
    made.mixed(tmp_path, 24)
    run(Options(**values(tmp_path, tiny_folder, tmp_path / "one", batch=4)))
    debug_launcher(two, (values(tmp_path, tiny_folder, tmp_path / "two", batch=2, shard=shard),), num_processes=2)
    lines = {
        out: [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    }
    assert len(lines["one"]) == 4
    for one, both in zip(lines["one"], lines["two"], strict=True):
        assert both["loss"] == pytest.approx(one["loss"], abs=1e-4)
        assert both["val_loss"] == pytest.approx(one["val_loss"], abs=1e-3)
        assert both["val_accuracy"] == one["val_accuracy"]
    one, both = (load_file(tmp_path / out / "checkpoints" / "00000004" / "adapter_model.safetensors")
                 for out in ("one", "two"))  # fmt: skip
    assert one.keys() == both.keys()
    for name, value in one.items():
        # Adam's first steps divide by gradients near nothing, so rounding shows at the size of a step
        assert torch.allclose(value, both[name], atol=2e-3), name


def agree(given):
    """Both ranks' weights after the run, compared where they are."""
    from accelerate import Accelerator
    from accelerate.utils import gather_object

    from allspark.tuning import checkpoints

    fresh()
    seen = []
    original = checkpoints.adapter_state

    def noting(wrapped):
        state = original(wrapped)
        seen.append({name: float(value.double().sum()) for name, value in state.items()})
        return state

    checkpoints.adapter_state = noting
    run(Options(**given))
    sums = gather_object([seen[-1]])
    assert Accelerator(cpu=True).num_processes == 2
    assert sums[0] == sums[1], "the ranks' weights differ"


def test_the_ranks_agree(tiny_folder, tmp_path):
    made.mixed(tmp_path, 24)
    debug_launcher(
        agree, (values(tmp_path, tiny_folder, tmp_path / "run", batch=2, lora_dropout=0.2),), num_processes=2
    )
    assert (tmp_path / "run" / "results.json").is_file()


def cut(given):
    """A run whose processes end in the second step, the first being the last that was saved."""
    from allspark import finetune

    fresh()

    def ending(self, step, loss):
        if step == 2:
            raise RuntimeError("the power is gone")

    finetune.Journal.step = ending
    with pytest.raises(RuntimeError, match="power"):
        run(Options(**given))


def test_a_sharded_run_goes_on_from_its_checkpoint(tiny_folder, tmp_path):
    made.mixed(tmp_path, 24)
    more = {"steps": 2, "average": 0.5, "eval_every": 2, "save_every": 1, "modality_dropout": 0.0}
    run(Options(**values(tmp_path, tiny_folder, tmp_path / "one", batch=4, **more)))
    broken = values(tmp_path, tiny_folder, tmp_path / "two", batch=2, shard=True, **more)
    debug_launcher(cut, (broken,), num_processes=2)
    assert [p.name for p in (tmp_path / "two" / "checkpoints").iterdir()] == ["00000001"]
    debug_launcher(two, ({**broken, "resume": True},), num_processes=2)
    (one,), (both,) = (
        [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    )
    assert both["loss"] == pytest.approx(one["loss"], abs=1e-4)
    assert both["val_loss"] == pytest.approx(one["val_loss"], abs=1e-3), "the average was resumed as well"
    one, both = (load_file(tmp_path / out / "adapter_model.safetensors") for out in ("one", "two"))
    assert all(torch.allclose(value, both[name], atol=2e-3) for name, value in one.items())
