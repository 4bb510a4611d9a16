"""What an import and a load bring in, each seen from a process of its own."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

HEAVY = [
    "torch",
    "transformers",
    "rasterio",
    "laspy",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "timm",
    "typer",
]
LAZY = [
    "torch_geometric",
    "peft",
    "open_clip",
    "torchmetrics",
    "sklearn",
    "matplotlib",
    "rasterio",
    "laspy",
    "geopandas",
]
# a process in which every attempt to reach a host raises, and names itself
NO_NETWORK = """
import socket

def refuse(self, address, *rest):
    raise AssertionError(f"a connection to {address} was tried")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *a, **k: refuse(None, a)
"""


def fresh(code: str, *arguments: str, **environment: str) -> dict:
    """Run ``code`` in a fresh interpreter with one thread; it prints one JSON document last."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {"OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, env=env, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_import_brings_nothing_heavy():
    loaded = fresh("import json, sys, allspark; print(json.dumps(sorted(sys.modules)))")
    assert sorted(set(HEAVY) & set(loaded)) == []


def test_help_brings_nothing_heavy():
    code = """
    import json, sys
    sys.argv = ["allspark", "--help"]
    from allspark.cli import main
    try:
        main()
    except SystemExit as end:
        assert end.code == 0
    print(json.dumps(sorted(sys.modules)))
    """
    assert sorted(set(fresh(code)) & (set(HEAVY) - {"typer"})) == []


def test_every_public_name_is_there():
    import allspark

    assert {"load", "build", "read", "list_models", "sample", "AllSpark", "Prediction"} <= set(allspark.__all__)
    assert {"Raster", "PointCloud", "Trajectory", "Graph", "Table", "Text", "Code"} <= set(allspark.__all__)
    for name in allspark.__all__:
        assert getattr(allspark, name) is not None
    assert {*allspark.__all__, "__version__"} <= set(dir(allspark))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = allspark.no_such_name


def test_load_brings_only_what_it_needs_and_no_network(tmp_path):
    import allspark

    allspark.build("allspark-tiny").save(tmp_path / "tiny")
    code = """
    import json, sys
    import allspark
    spark = allspark.load(sys.argv[1])
    print(json.dumps({"modules": sorted(sys.modules), "modalities": list(spark.modalities)}))
    """
    found = fresh(NO_NETWORK + textwrap.dedent(code), str(tmp_path / "tiny"))
    assert sorted(set(LAZY) & set(found["modules"])) == []
    assert len(found["modalities"]) >= 10
