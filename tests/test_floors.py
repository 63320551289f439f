"""The house stands in floors: what a module imports stands below it."""

import ast
import subprocess
import sys

import pytest

# Within a floor, a module may use those that are named before it. What begins with
# `study.` replicates one paper: of the library, only the command line may use it.
FLOORS = {
    0: "atomic config",
    1: "labelling vocabulary synthetic corpora vectors batching whitening decays"
    " spectra",
    2: "backends models recurrences",
    3: "steps cells networks checkpoints evaluation training",
    4: "sums chains sweeps blocks gradients words uncertainty curves"
    " study.readout study.probes study.synthetic_study",
    5: "freshness artifacts",
    6: "figures figures_engine saved_models inspection"
    " study.figures_pages study.figures_synthetic study.tables study.claims_synthetic"
    " study.claims study.stages",
    7: "study.rendering cli",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}
STEP = {name: step for step, name in enumerate(FLOOR)}
BACKENDS = {"tensorflow", "keras", "jax"}
LIGHT = {0, 1, 5, 6, 7}  # floors that pages and the command line load at once
PACKAGE = "state_gradients"
STUDY = f"{PACKAGE}.study"


@pytest.fixture(scope="module")
def sources(request):
    folder = request.config.rootpath / "lib" / PACKAGE
    paths = {path: path.relative_to(folder) for path in sorted(folder.rglob("*.py"))}
    return {".".join(p.with_suffix("").parts): q.read_text() for q, p in paths.items()}


@pytest.fixture(scope="module")
def modules(sources):
    return [name for name in sources if name in FLOOR]


def targets(node):
    """Full names of the modules that one import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    # A relative import may stand in either package; no two modules share a name.
    packages = (f"{PACKAGE}.", f"{STUDY}.") if node.level else ("",)
    bases = [f"{package}{node.module or ''}".rstrip(".") for package in packages]
    # `from state_gradients import config` names a module after the import
    return bases + [f"{base}.{alias.name}" for base in bases for alias in node.names]


def imports(source, *, top_level):
    """Modules imported by a source: when it loads, or in its functions as well."""
    nodes, found = list(ast.parse(source).body), []
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += targets(node)
        elif not (top_level and isinstance(node, ast.FunctionDef | ast.Lambda)):
            nodes += ast.iter_child_nodes(node)
    return found


def climbs(name, source):
    """Modules of the package that `source` imports and that do not stand below it."""
    names = [f"{i}." for i in imports(source, top_level=False)]
    own = {m for m in STEP for n in names if n.startswith(f"{PACKAGE}.{m}.")}
    return sorted(i for i in own if STEP[i] >= STEP[name])


def uses_study(source):
    return any(
        f"{i}.".startswith(f"{STUDY}.") for i in imports(source, top_level=False)
    )


def loads_backend(source):
    roots = {i.split(".")[0] for i in imports(source, top_level=True)}
    return sorted(roots & BACKENDS)


def test_every_module_has_a_floor(sources):
    assert set(sources) - {"__init__", "study.__init__"} <= set(FLOOR)


def test_imports_lead_down(sources, modules):
    assert {n: c for n in modules if (c := climbs(n, sources[n]))} == {}


def test_only_the_command_line_uses_the_study(sources):
    library = {n: s for n, s in sources.items() if not n.startswith("study.")}
    assert [n for n, source in library.items() if uses_study(source)] == ["cli"]


def test_light_floors_load_no_backend(sources, modules):
    light = [n for n in modules if FLOOR[n] in LIGHT]
    assert {n: b for n in light if (b := loads_backend(sources[n]))} == {}
    assert loads_backend(sources["__init__"] + sources["study.__init__"]) == []


@pytest.mark.slow
def test_the_package_and_its_light_floors_load_no_backend_by_way_of_others(modules):
    light = [n for n in modules if FLOOR[n] in LIGHT]
    code = (
        f"import sys, importlib\n"
        f"for name in {light}: importlib.import_module('{PACKAGE}.' + name)\n"
        f"sys.stdout.write(' '.join({BACKENDS} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("corpora", "from state_gradients import models", ["models"]),
        ("corpora", "from state_gradients.models import x", ["models"]),
        ("corpora", "import state_gradients.batching", ["batching"]),
        ("corpora", "import state_gradients.synthetic", []),
        ("corpora", "import state_gradients.study.stages as s", ["study.stages"]),
        ("corpora", "from state_gradients.study import tables", ["study.tables"]),
        (
            "study.tables",
            "from state_gradients.study.claims import x",
            ["study.claims"],
        ),
        ("study.tables", "from . import claims", ["study.claims"]),
        ("study.tables", "from state_gradients import artifacts", []),
        ("corpora", "from . import cli", ["cli"]),
        ("corpora", "from .cli import app", ["cli"]),
        ("corpora", "def f():\n    from state_gradients import cli", ["cli"]),
        ("corpora", "from state_gradients import config\nimport numpy.random", []),
    ],
)
def test_a_climbing_import_is_seen(name, source, expected):
    assert climbs(name, source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    from state_gradients import study", True),
        ("from state_gradients.study import tables", True),
        ("from .study.tables import ledger", True),
        ("from state_gradients import synthetic", False),
    ],
)
def test_a_use_of_the_study_is_seen(source, expected):
    assert uses_study(source) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import keras.ops as K", ["keras"]),
        ("from tensorflow import function", ["tensorflow"]),
        ("try:\n    import jax\nexcept ImportError:\n    pass", ["jax"]),
        ("class A:\n    import keras", ["keras"]),
        ("def f():\n    import keras", []),
    ],
)
def test_a_backend_at_module_level_is_seen(source, expected):
    assert loads_backend(source) == expected


def test_lib_checks_its_input_by_errors_not_by_assert(sources):
    bare = {
        name: node.lineno  # `python -O` drops asserts
        for name, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assert)
    }
    assert bare == {}
