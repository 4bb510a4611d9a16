"""unistd-base from the data to the shipped weights, one command.

    python recipes/unistd-base/unistd.py --data DIR [--trunk allspark-base] [--out runs/unistd] [--seconds 960]

Every stage is a command of its own (see the recipe's README) and skips what is done; a killed run goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from budgets import JOINT

HERE = Path(__file__).parent


def stages(options: argparse.Namespace) -> list[list[str]]:
    """The commands in their order, without the interpreter."""
    packed, joint = f"{options.out}/packed", f"{options.out}/joint"
    tables = ["--packed", packed, "--run", joint, "--pictures", "docs/figures"]
    return [
        [f"{HERE}/pack_tasks.py", "--data", str(options.data), "--out", packed],
        [f"{HERE}/baselines.py", "--packed", packed],
        ["-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no",
         "--dynamo_backend", "no", "-m", "allspark.spatiotemporal.train", "--packed", packed, "--out", joint,
         "--trunk", options.trunk, "--seconds", str(options.seconds), *SETTINGS],
        [f"{HERE}/joint.py", "--packed", packed, "--run", joint],
        [f"{HERE}/per_task.py", "--packed", packed],
        [f"{HERE}/claims.py", "--packed", packed, "--trunk", options.trunk, "--runs", f"{options.out}/claims"],
        [f"{HERE}/ship.py", "--run", joint],
        [f"{HERE}/tables.py", *tables],
    ]  # fmt: skip


SETTINGS = [word for name, value in JOINT.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def main() -> None:
    """Run what is not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/unistd", type=Path)
    parser.add_argument("--trunk", default="allspark-base")
    parser.add_argument("--seconds", default=960.0, type=float, help="of joint training")
    options = parser.parse_args()
    for command in stages(options):
        print("==", Path(command[0]).name if command[0] != "-m" else "allspark.spatiotemporal.train", flush=True)
        subprocess.run([sys.executable, *command], check=True)


if __name__ == "__main__":
    main()
