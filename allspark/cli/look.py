"""list, info, read, doctor: what there is, without answering anything about it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options as opt
from .output import emit_json, emit_page, emit_table, say, sentence

REQUIRED = ("torch", "transformers", "timm", "safetensors", "rasterio", "laspy", "pandas", "pyproj", "scikit-learn")
USEFUL = {
    "matplotlib": 'pictures of `python -m allspark.demo`: pip install -e ".[plot]"',
    "geopandas": 'GeoParquet trajectories: pip install -e ".[vector]"',
}


def list_models(as_json: opt.Json = False) -> None:
    """List the models and the modalities."""
    import allspark
    from allspark import modality

    models = allspark.list_models()
    records = [modality.get(name) for name in modality.names()]
    if as_json:
        emit_json({"models": models, "modalities": {record.name: record.item.__name__ for record in records}})
        return
    emit_table("models", ["name", "what it is"], models.items())
    rows = [
        (r.name, r.item.__name__, "the language model's own words" if r.encoder is None else r.prompt) for r in records
    ]
    emit_table("modalities", ["name", "item", "its words before the data"], rows)


def info(
    name: Annotated[str, typer.Argument(metavar="[MODEL|MODALITY]", help="A model, its folder, or a modality.")] = "",
    as_json: opt.Json = False,
) -> None:
    """Describe a model or a modality; without a name, the shipped model."""
    from allspark import modality

    if name in modality.names():
        record = modality.get(name)
        doc = (__import__(record.prepare.__module__, fromlist=["__doc__"]).__doc__ or "").strip()
        facts = {
            "modality": record.name,
            "about": doc,
            "item": record.item.__name__,
            "prompt": record.prompt,
            "input": dict(record.input),
            "encoder": dict(record.config) if record.encoder is not None else None,
        }
    else:
        facts = _model_facts(name or "allspark-base")
    if as_json:
        emit_json(facts)
        return
    emit_table(name or "allspark-base", ["what", "value"], _rows(facts))
    if card := facts.get("card"):
        emit_page(Path(str(card)).read_text(encoding="utf-8"))


def _model_facts(name: str) -> dict[str, Any]:
    """What a model's own JSON says; no weight is read but the headers."""
    from allspark import presets

    folder = presets.find(name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    text = config.get("text_config") or {}
    return {
        "model": name,
        "folder": str(folder),
        "size_mib": round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20, 2),
        "dtype": config.get("dtype"),
        "language": {key: text.get(key) for key in ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")},
        "bridge": config.get("bridge"),
        "modalities": config.get("modalities"),
        "encoders": config.get("encoders"),
        # a forecaster's "heads" are those of its attention, a number
        "heads": sorted(config["heads"]) if isinstance(config.get("heads"), dict) else [],
        "tasks": sorted(config.get("tasks") or {}),
        "calibrated": sorted(processor.get("temperatures") or {}),
        "licences": config.get("licences"),
        "card": str(folder / "README.md") if (folder / "README.md").is_file() else None,
    }


def _rows(facts: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            yield from _rows(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            short = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in value]
            yield f"{prefix}{key}", ", ".join(short[:20]) + (f", … ({len(short)} in all)" if len(short) > 20 else "")
        elif value is not None and value != {}:
            yield f"{prefix}{key}", f"{value:.10g}" if isinstance(value, float) else str(value)


def read(
    file: opt.File,
    modality: opt.ModalityName = None,
    units: opt.Units = None,
    bands: opt.Bands = None,
    wavelengths: opt.Wavelengths = None,
    crs: opt.Crs = None,
    id_: opt.Id = None,
    as_json: opt.Json = False,
) -> None:
    """Show what is understood of a file: its modality, units, bands, places and counts."""
    import allspark
    from allspark import modality as modalities

    from .describe import describe

    item = allspark.read(file, modality=modality, **opt.reading(units, bands, wavelengths, crs, id_))
    advice = None
    try:
        recognised = modality or modalities.recognise(item).name
    except ValueError as error:
        recognised, advice = None, sentence(error)
    facts = {"file": file, "modality": recognised, **({"advice": advice} if advice else {}), **describe(item)}
    if as_json:
        emit_json(facts)
    else:
        emit_table(file, ["what", "value"], list(_rows(facts))[1:])


def _checks() -> Iterator[tuple[str, bool, str, str]]:
    """(what, is it well, what was found, what to do where it is not)."""
    import allspark
    from allspark import presets

    yield "python", True, f"{platform.python_version()} on {platform.platform()}", ""
    yield "allspark-geo", True, f"{allspark.__version__} in {Path(allspark.__file__).parent}", ""
    for package in REQUIRED:
        try:
            yield package, True, importlib.metadata.version(package), ""
        except importlib.metadata.PackageNotFoundError:
            yield package, False, "not installed", "pip install -c constraints.txt -e ."
    for package, use in USEFUL.items():
        try:
            yield package, True, importlib.metadata.version(package), ""
        except importlib.metadata.PackageNotFoundError:
            yield package, True, f"not installed; only for {use}", ""
    for name in presets.list_models():
        if not (presets.WEIGHTS / name).is_dir():
            continue
        try:
            folder = presets.find(name)
            size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2**20
            yield f"weights of {name}", True, f"{size:.1f} MiB, whole", ""
        except OSError as error:
            yield f"weights of {name}", False, str(error), "install the package again, or fetch its large files"
    if not (presets.WEIGHTS / "allspark-base").is_dir():
        todo = "train it (make base DATA=…), or pass a folder to --model"
        yield "weights of allspark-base", False, f"no folder {presets.WEIGHTS / 'allspark-base'}", todo
    offline = os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "True")
    yield "network", True, "HF_HUB_OFFLINE is set" if offline else "used only for models of the Hub that you name", ""
    yield from _compute()


def _compute() -> Iterator[tuple[str, bool, str, str]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield "import torch", False, sentence(error), "install torch anew: pip install -c constraints.txt -e ."
        return
    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    cores = cores or os.cpu_count() or 1
    todo = f"set OMP_NUM_THREADS to at most {cores}: more threads than cores are slower"
    yield "threads", threads <= cores, f"{threads} of {cores} cores", todo
    native = torch.cpu.get_capabilities().get("avx512_bf16") if hasattr(torch.cpu, "get_capabilities") else None
    yield (
        "bfloat16 on this CPU",
        True,
        {True: "native", False: "emulated: float32 is faster", None: "unknown"}[native],
        "",
    )
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none: everything runs on the CPU"
    yield "GPU", True, gpu, ""


def doctor(as_json: opt.Json = False) -> None:
    """Check this installation and say what to do about what is wrong."""
    checks = [
        {"what": what, "ok": ok, "found": found, "do": todo if not ok else None} for what, ok, found, todo in _checks()
    ]
    wrong = [check for check in checks if not check["ok"]]
    if as_json:
        emit_json({"ok": not wrong, "checks": checks})
    else:
        emit_table(
            "allspark doctor",
            ["what", "", "found"],
            [(c["what"], "ok" if c["ok"] else "!!", c["found"]) for c in checks],
        )
        for check in wrong:
            say(f"{check['what']}: {check['found']}; {check['do']}")
    if wrong:
        raise typer.Exit(1)
