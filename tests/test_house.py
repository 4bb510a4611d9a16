"""The rules of the house (CONTRIBUTING.md) that a machine can hold: read from the source, not from running it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "allspark"
SOURCES = sorted(p for folder in ("allspark", "recipes", "benchmarks") for p in (ROOT / folder).rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
MODALITIES = {
    "rgb",
    "sar",
    "multispectral",
    "hyperspectral",
    "point_cloud",
    "trajectory",
    "graph",
    "table",
    "language",
    "code",
}
# these name nothing else in the package, so a comparison with one of them is a branch on a modality
UNMISTAKABLE = {"rgb", "sar", "multispectral", "hyperspectral", "point_cloud", "trajectory"}

# what each part of the package may import: parts of its own floor and of those below
FLOORS = [
    {"items", "samples", "weights", "atomic", "readers", "modality"},
    {"encoders", "bridges", "prompts", "heads"},
    {"config", "presets", "inputs", "segmentation"},
    {
        "processor",
        "model",
        "fewshot",
        "fewshot_methods",
        "fewshot_choice",
        "fewshot_logistic",
        "fewshot_span",
        "fewshot_unlabelled",
        "spatiotemporal",
        "running",
        "vectors",
        "sketch",
        "predictions",
        "classifying",
    },
    {"api", "building", "dense", "adapters", "trained"},
    {"testing", "evaluate", "scenes", "finetune", "tuning"},
    {"cli", "demo"},
    {"__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
UPWARDS = {("modality", "encoders")}  # the registry finds its entries by importing them when it is first asked


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path, tree: ast.AST):
    """(node, part) for each part of allspark that a file imports, in functions too, but not for type checkers alone."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    package = ["allspark", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        full = []
        if isinstance(node, ast.Import):
            full = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            full = [[*base, alias.name] for alias in node.names]
        for parts in full:
            if parts[0] == "allspark" and len(parts) > 1 and parts[1] in FLOOR:
                yield node, parts[1]


def test_every_part_of_the_package_has_its_floor():
    parts = {part_of(path) for path in SOURCES if path.is_relative_to(PACKAGE)} - {"__init__"}
    assert parts <= set(FLOOR), f"say in FLOORS where {sorted(parts - set(FLOOR))} stand"


def test_imports_point_one_way():
    wrong = []
    for path, tree in TREES.items():
        if not path.is_relative_to(PACKAGE) or path == PACKAGE / "__init__.py":
            continue
        part = part_of(path)
        wrong += [
            f"{where(path, node)} {part} imports {other}"
            for node, other in imported_parts(path, tree)
            if FLOOR[other] > FLOOR.get(part, 0) and (part, other) not in UPWARDS
        ]
    assert wrong == []


def names_a_modality(node: ast.AST) -> bool:
    return any("modality" in part for part in (getattr(node, "id", ""), getattr(node, "attr", "")))


def strings_in(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def branches_on_a_modality(tree: ast.AST):
    """Comparisons of a modality's name with a word, and ``match`` on one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Match) and (
            names_a_modality(node.subject) or any(strings_in(case.pattern) & UNMISTAKABLE for case in node.cases)
        ):
            yield node
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            words = set().union(
                *(strings_in(side) for side in sides if isinstance(side, (ast.Constant, ast.Tuple, ast.Set, ast.List)))
            )
            one = {side.value for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)}
            equality = isinstance(node.ops[0], (ast.Eq, ast.NotEq))
            if (any(map(names_a_modality, sides)) and words & MODALITIES) or (equality and one & UNMISTAKABLE):
                yield node


def test_no_branch_on_a_modality_outside_its_own_file():
    found = [
        where(path, node)
        for path, tree in TREES.items()
        if path.is_relative_to(PACKAGE) and not path.is_relative_to(PACKAGE / "encoders")
        for node in branches_on_a_modality(tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('if modality == "rgb": pass', 1),
        ('if record.modality in ("sar", "table"): pass', 1),
        ('x = 1 if name != "point_cloud" else 2', 1),
        ('match modality:\n    case "rgb": pass', 1),
        ('if at == "language": pass', 0),
        ("if modality is None: pass", 0),
    ],
)
def test_the_search_for_branches_finds_them(source, count):
    assert len(list(branches_on_a_modality(ast.parse(source)))) == count


def dangers(tree: ast.AST):
    """Ways to run what stands in a file: pickles, evaluated text, remote code, shells."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if {name.split(".")[0] for name in names} & {
                "pickle",
                "dill",
                "joblib",
                "shelve",
                "marshal",
                "cloudpickle",
            }:
                yield node
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords if word.arg}
        if (
            called in ("eval", "exec", "compile", "os.system", "yaml.load", "yaml.unsafe_load")
            or "read_pickle" in called
        ):
            yield node
        if called == "torch.load" and given.get("weights_only") is not True:
            yield node
        if given.get("allow_pickle") not in (None, False) or given.get("trust_remote_code") not in (None, False):
            yield node
        if given.get("shell") not in (None, False):
            yield node


def test_nothing_is_unpickled_or_run():
    assert [where(path, node) for path, tree in TREES.items() for node in dangers(tree)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(words)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(words, shell=True)",
    ],
)
def test_the_search_for_dangers_finds_them(source):
    assert list(dangers(ast.parse(source)))


def test_safe_loading_is_no_danger():
    safe = "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); model.eval(); re.compile(x)"
    assert list(dangers(ast.parse(safe))) == []


def test_files_have_one_reason():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > 400} == {}
    assert [path for path in SOURCES if path.stem in ("utils", "util", "helpers", "misc", "common")] == []


def test_the_cli_imports_nothing_heavy_at_its_top():
    heavy = {
        "torch",
        "transformers",
        "timm",
        "rasterio",
        "laspy",
        "pandas",
        "sklearn",
        "matplotlib",
        "scipy",
        "geopandas",
    }
    found = [
        where(path, node)
        for path, tree in TREES.items()
        if path.is_relative_to(PACKAGE / "cli")
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and {name.split(".")[0] for name in [getattr(node, "module", None) or "", *(a.name for a in node.names)]}
        & heavy
    ]
    assert found == []
