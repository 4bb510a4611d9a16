"""How everything here is trained: the joint model and what it is compared to have the same batches, rate and clock."""

from __future__ import annotations

from allspark.spatiotemporal.fit import Training

STEPS = 1_000_000  # never reached: the clock ends a run
TOKENS = 1024  # of a step
LR = 2e-3
JOINT = {"steps": STEPS, "tokens": TOKENS, "lr": LR, "check_every": 100, "check_windows": 24}


def budget(seconds: float, seed: int, check_every: int, check_windows: int) -> Training:
    """Settings of a run of so many seconds of one processor."""
    return Training(
        steps=STEPS, seconds=seconds, clock="processor", tokens=TOKENS, lr=LR, seed=seed, check_every=check_every,
        check_windows=check_windows,
    )  # fmt: skip
