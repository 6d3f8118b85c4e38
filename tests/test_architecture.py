"""The shape of the house, held by tests: who may import whom, what is public, what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import ringtrue

SOURCE = Path(ringtrue.__file__).parent

# A room may import the rooms named here, itself, and nothing else of ringtrue.
FOUNDATIONS = {"errors", "files"}
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "config": {"errors"},
    "audio": FOUNDATIONS,
    "tensors": FOUNDATIONS,
    "windows": {"audio"},
    "workers": {"errors"},
    "prosody": {"audio", "windows"},
    "vocoders": {*FOUNDATIONS, "tensors", "audio", "models"},
    "data": {*FOUNDATIONS, "workers", "audio", "windows", "", "vocoders"},
    "models": {*FOUNDATIONS, "", "audio", "windows", "prosody", "tensors"},
    "evaluation": {*FOUNDATIONS, "", "audio", "windows", "prosody", "data", "models"},
    "training": {
        *FOUNDATIONS,
        "",
        "tensors",
        "audio",
        "windows",
        "config",
        "data",
        "models",
        "evaluation",
        "vocoders",
    },
    "inference": {*FOUNDATIONS, "workers", "audio", "windows", "prosody", "models", "evaluation"},
    "packing": {*FOUNDATIONS, "audio", "windows", "prosody", "data", "evaluation", "inference"},
    "robustness": {*FOUNDATIONS, "audio", "data", "evaluation", "inference"},
    "tracing": {
        *FOUNDATIONS,
        "",
        "config",
        "tensors",
        "audio",
        "windows",
        "data",
        "models",
        "evaluation",
        "inference",
    },
    "pipeline": {
        *FOUNDATIONS,
        "",
        "config",
        "data",
        "models",
        "training",
        "evaluation",
        "inference",
        "packing",
    },
    "engine": {*FOUNDATIONS, "", "workers", "audio", "data", "models", "evaluation", "inference", "pipeline"},
    "auditing": {*FOUNDATIONS, "data", "evaluation", "pipeline"},
    "experiment": {*FOUNDATIONS, "workers", "", "config", "data", "evaluation", "inference", "pipeline"},
    "serve": {*FOUNDATIONS, "", "audio", "windows", "prosody", "inference"},
    "demo": {*FOUNDATIONS, "", "config", "data", "evaluation", "inference", "pipeline"},
    "cli": {
        "",
        "errors",
        "audio",
        "config",
        "data",
        "evaluation",
        "inference",
        "tracing",
        "auditing",
        "engine",
        "pipeline",
        "experiment",
        "demo",
        "files",
        "packing",
        "robustness",
        "serve",
    },
}
# What a verdict is made of: nothing here may reach for torch or for the training side.
LIGHT = [
    f"inference/{name}.py"
    for name in ("runtime", "evidence", "speech", "judge", "verdict", "session", "stream", "sequential", "batch",
                 "results", "report", "speed", "source", "prototypes")
]  # fmt: skip
NUMPY_ONLY = [
    "prosody.py",
    *(f"evaluation/{name}.py" for name in ("metrics", "calibrate", "mappings", "hull", "logistic", "stored")),
]
HEAVY = {
    "torch", "transformers", "sklearn", "scipy", "onnxruntime", "onnx", "soundfile", "soxr", "av", "yaml", "pydantic",
    "tensorboard", "matplotlib", "huggingface_hub", "fastapi", "starlette", "uvicorn", "prometheus_client", "ray",
    "pyarrow", "fsspec",
}  # fmt: skip
# These rooms are about their dependency: to import them is to want it.
ABOUT = {
    "torch": {
        f"models/{name}.py"
        for name in (
            "features",
            "layers",
            "prosody_encoder",
            "prosody",
            "envelope",
            "mio",
            "frontend",
            "frontends",
        )
    }
    | {f"models/{name}.py" for name in ("selfsupervised", "speaker", "whisper")}
    | {"vocoders/generators.py", "vocoders/stored.py"}
    | {"inference/fold.py", "evaluation/probes/readers.py", "evaluation/probes/leakage.py"}
    | {f"training/{path.name}" for path in (SOURCE / "training").glob("*.py")}
    | {
        f"tracing/{name}.py"
        for name in (
            "clips",
            "learning",
            "methods",
            "two_stage",
            "distil",
            "discriminant",
            "export",
            "texture",
        )
    },
    "yaml": {"config.py"},
    "pydantic": {"config.py", "experiment/plan.py", "serve/schema.py"},
    "fastapi": {"serve/app.py", "serve/assets.py"},
    "starlette": {"serve/app.py", "serve/assets.py", "serve/guard.py", "serve/live.py"},
    "prometheus_client": {"serve/meters.py"},
}


def modules():
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    """Yield every imported module's dotted name, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            if node.module == "ringtrue":
                yield from (f"ringtrue.{alias.name}" for alias in node.names if alias.name in MAY_IMPORT)


def room_of(name):
    return name.split("/")[0].removesuffix(".py")


def test_imports_point_one_way():
    wrong = []
    for name, tree in modules():
        room = room_of(name)
        if room not in MAY_IMPORT or name.endswith("starter/engine_worker.py"):
            continue
        for module in imported(tree):
            if module == "ringtrue" or module.startswith("ringtrue."):
                target = module.removeprefix("ringtrue").removeprefix(".").split(".")[0]
                if target not in {*MAY_IMPORT[room], room}:
                    wrong.append(f"{name} imports {module}")
    assert wrong == []


def test_figures_and_calibration_need_numpy_only():
    for name, tree in modules():
        if name in NUMPY_ONLY:
            foreign = {module.split(".")[0] for module in imported(tree)} - set(sys.stdlib_module_names)
            assert foreign <= {"numpy", "ringtrue"}, name


def test_a_verdict_needs_no_training_side():
    for name, tree in modules():
        if name in LIGHT:
            rooms = {m.removeprefix("ringtrue.") for m in imported(tree) if m.startswith("ringtrue.")}
            assert not any(room.startswith(("models", "training", "data", "config")) for room in rooms), name
            assert {room for room in rooms if room.startswith("evaluation")} <= {
                "evaluation.calibrate",
                "evaluation.mappings",
            }, name


def test_heavy_libraries_are_imported_where_they_are_used():
    at_top = []
    for name, tree in modules():
        top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
        for module in imported(top):
            library = module.split(".")[0]
            if library in HEAVY and name not in ABOUT.get(library, ()) and "engine_" not in name:
                at_top.append(f"{name} imports {library}")
    assert at_top == []


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*{{m.split('.')[0] for m in sys.modules}})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_by("import ringtrue, ringtrue.cli") & {*HEAVY, "numpy"} == set()


def test_help_imports_nothing_heavy():
    code = "import ringtrue.cli\ntry: ringtrue.cli.main(['--help'])\nexcept SystemExit: pass"
    assert loaded_by(code) & {*HEAVY, "numpy"} == set()


def test_what_judges_for_strangers_imports_no_training_side():
    assert (
        loaded_by("import ringtrue.serve.worker, ringtrue.serve.crew") & {"torch", "sklearn", "scipy"}
        == set()
    )


def test_the_public_api_is_what_the_package_says():
    assert ringtrue.__all__ == [
        "Detector", "RingtrueError", "Segment", "Verdict", "__version__", "check", "load_corpus", "metrics",
    ]  # fmt: skip
    for name in ringtrue.__all__:
        assert getattr(ringtrue, name) is not None
    assert set(ringtrue.__all__) <= set(dir(ringtrue))


def test_every_module_opens_with_what_it_does():
    silent = [name for name, tree in modules() if not ast.get_docstring(tree)]
    assert silent == []


def test_nothing_runs_what_a_file_says():
    banned = {"eval", "exec", "pickle", "marshal", "shelve", "dill"}
    found = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in banned:
                found.append(f"{name}: {node.func.id}()")
        found += [f"{name}: {module}" for module in imported(tree) if module in banned]
    assert found == []
