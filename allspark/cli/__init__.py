"""`allspark …`: the package on the command line.

Answers go to stdout (`--json`: one JSON document and nothing else), everything else to stderr. An error is one sentence
and exit code 1; a wrong call is exit code 2. ``ALLSPARK_TRACEBACK=1`` shows where an error came from.
Nothing heavy is imported before a command needs it, so ``allspark --help`` is instant.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from . import answers, bench, forecast, league, look, maps, output

app = typer.Typer(
    name="allspark",
    help="One model that reads ten kinds of geospatial data and speaks of all of them in one language space.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench_app = typer.Typer(name="bench", help="Measure a model on your own data.", no_args_is_help=True)


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with every error turned into one sentence on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("ALLSPARK_TRACEBACK") == "1":
                raise
            output.say(f"error: {output.as_options(output.sentence(error), kwargs)}")
            raise typer.Exit(1) from None

    return run


_COMMANDS: dict[str, Callable[..., Any]] = {
    "list": look.list_models,
    "info": look.info,
    "read": look.read,
    "classify": answers.classify,
    "embed": answers.embed,
    "ask": answers.ask,
    "segment": maps.segment,
    "forecast": forecast.forecast,
    "reproduce": league.reproduce,
    "doctor": look.doctor,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(guarded(_command))
bench_app.command("few-shot")(guarded(bench.few_shot))
bench_app.command("league")(guarded(league.league))
app.add_typer(bench_app)


def main() -> None:
    """The console script: warnings become one line on stderr, the rest is Typer's."""
    warnings.showwarning = lambda message, *_, **__: output.say(f"warning: {message}")
    try:
        app()
    except BrokenPipeError:  # the reader of a pipe has left (`allspark … | head`): not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
