"""What a stranger gets: a public surface, a wheel that works alone, a command."""

import ast
import doctest
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from typer.testing import CliRunner

import state_gradients
from state_gradients import cli

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib" / "state_gradients"
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
BACKENDS = {"tensorflow", "keras", "jax", "torch"}
HEAVY = BACKENDS | {"numpy", "xarray", "pandas", "matplotlib", "scipy", "sklearn"}


def python(code, *, folder=None, **environment):
    """Run code in another process; an environment variable that is None is unset."""
    env = {k: v for k, v in (os.environ | environment).items() if v is not None}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=env,
    )


def loaded_by(code):
    """Return which of the heavy modules are loaded after running `code`."""
    done = python(f"import sys\n{code}\nprint(*({HEAVY} & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


# The public surface


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", state_gradients.__all__)
def test_every_public_name_has_an_example_that_runs(name):
    found = doctest.DocTestFinder(recurse=False).find(
        getattr(state_gradients, name), name, globs={}
    )
    assert sum(len(test.examples) for test in found) >= 2  # an import, and its use
    for test in found:
        report = []
        failed, _ = doctest.DocTestRunner().run(test, out=report.append)
        assert not failed, "".join(report)


@pytest.mark.parametrize("name", state_gradients.__all__)
def test_every_public_name_says_its_types(name):
    value = getattr(state_gradients, name)
    signature = inspect.signature(value)
    untyped = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert untyped == []
    if not inspect.isclass(value):
        assert signature.return_annotation is not signature.empty


def test_what_editors_see_is_what_is_loaded():
    source = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module.removeprefix("state_gradients.")
        for node in block.body
        for alias in node.names
    }
    assert seen == state_gradients._MODULES
    assert sorted(seen) == state_gradients.__all__
    assert set(seen) <= set(dir(state_gradients))


def test_the_surface_of_the_guide_is_there():
    described = set(re.findall(r"\w+", state_gradients.__doc__))
    assert set(state_gradients.__all__) <= described
    wanted = {
        *("mean_state_gradients", "type_gradients", "sentence_memory"),
        "sentence_influence",
        *("fit_whitening", "whiten_gradient", "whiten_moment", "decompose"),
        *("memory_curve", "coherence", "fit_decay", "compare_decays"),
        *("property_direction", "relative_memory", "subspace_cosine"),
        *("block_bootstrap", "shuffled", "inspect_model", "load_model"),
        *("plot_memory", "plot_selectivity", "plot_coherence", "plot_sentence"),
    }
    assert wanted <= set(state_gradients.__all__)


def test_an_unknown_name_is_refused_and_the_nearest_named():
    with pytest.raises(AttributeError, match="no public name 'decomposed'"):
        _ = state_gradients.decomposed
    done = python("import state_gradients; state_gradients.decomposed")
    assert "Did you mean: 'decompose'?" in done.stderr


@pytest.mark.slow
def test_import_is_light_and_a_name_loads_what_it_needs():
    assert loaded_by("import state_gradients") == set()
    assert loaded_by("from state_gradients import fit_decay") & BACKENDS == set()
    assert loaded_by("from state_gradients import plot_memory, load_model") >= {"numpy"}
    assert "keras" in loaded_by("from state_gradients import mean_state_gradients")


# The command


@pytest.mark.slow
def test_the_command_imports_within_its_commands():
    assert loaded_by("import state_gradients.cli") == set()


def test_the_version():
    done = CliRunner().invoke(cli.app, ["--version"])
    assert (done.exit_code, done.stdout) == (
        0,
        f"state-gradients {state_gradients.__version__}\n",
    )


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working folder outside any project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_GRADIENTS_ROOT", raising=False)
    return tmp_path


@pytest.mark.slow
def test_a_corpus_needs_no_project(elsewhere, corpora):
    done = CliRunner().invoke(cli.app, ["corpus", "ptb", "--json"])
    sizes = {"train": 919_710, "valid": 72_895, "test": 81_564, "vocabulary": 10_000}
    assert json.loads(done.stdout) == sizes  # of data/README.md


def test_what_needs_a_project_says_so(elsewhere, monkeypatch):
    done = CliRunner().invoke(cli.app, ["status"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "run inside the project or set STATE_GRADIENTS_ROOT" in done.stderr
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(elsewhere))  # a wrong one
    done = CliRunner().invoke(cli.app, ["corpus", "ptb"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "params.yaml" in done.stderr


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy, for a build leaves files among its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    strangers = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "lib", source / "lib", ignore=strangers)
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    pip(
        *("wheel", source, "--wheel-dir", folder),
        *("--no-deps", "--no-build-isolation", "--no-index"),
    )
    return next(folder.glob("*.whl"))


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder that the wheel is installed into, without its dependencies."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", wheel, "--target", target, "--no-deps", "--no-index")
    return target


@pytest.fixture
def stranger(installed, tmp_path):
    """How a stranger runs Python: in another folder, off the checkout."""
    return {
        "folder": tmp_path,
        "PYTHONPATH": str(installed),
        "STATE_GRADIENTS_ROOT": None,
        "TF_CPP_MIN_LOG_LEVEL": None,
    }


@pytest.mark.slow
def test_the_wheel_holds_the_whole_package(wheel):
    files = [
        p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    ]
    with zipfile.ZipFile(wheel) as archive:
        held = {n for n in archive.namelist() if n.startswith("state_gradients/")}
    assert held == {str(p.relative_to(PACKAGE.parent)) for p in files}
    assert "state_gradients/py.typed" in held


@pytest.mark.slow
def test_the_index_page_has_no_dead_pictures_and_no_backend_is_forced(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/METADATA"))
        about = Parser().parsestr(archive.read(name).decode())
    links = re.findall(r"\]\(([^)]+)\)", about.get_payload())
    assert [link for link in links if not link.startswith("https://")] == []
    assert "## Ten lines of Python" in about.get_payload()
    assert about["Description-Content-Type"] == "text/markdown"
    always = [r for r in about.get_all("Requires-Dist") if "extra ==" not in r]
    assert [r for r in always if r.startswith(("tensorflow", "jax"))] == []
    assert {"tensorflow", "jax", "render"} <= set(about.get_all("Provides-Extra"))


def code_blocks(language):
    """Return README's blocks of code in a language ("" is none)."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for found, code in blocks if found == language]


@pytest.mark.slow
def test_the_ten_lines_of_the_readme_run_from_the_wheel(installed, stranger):
    (lines,) = code_blocks("python")
    assert len([line for line in lines.splitlines() if line]) <= 10
    done = python(f"{lines}\nprint(sg.__file__)", **stranger)
    assert done.returncode == 0, done.stderr
    *table, file = done.stdout.splitlines()
    assert Path(file).is_relative_to(installed)
    assert table[0].split()[:2] == ["memory", "total"]
    assert [row.split()[0] for row in table[2:]] == [str(delay) for delay in range(21)]


@pytest.mark.slow
def test_inspect_runs_from_the_wheel_and_gives_what_the_readme_shows(
    installed, stranger
):
    (command,) = (b for b in code_blocks("bash") if "example/trained.keras \\" in b)
    program, *options = shlex.split(command.replace("\\\n", ""))
    assert program == ".venv/bin/state-gradients"
    options = [
        str(ROOT / o) if o.startswith(("data/", "book/")) else o for o in options
    ]
    script = installed / "bin" / "state-gradients"
    folder = stranger["folder"]
    done = python(
        f"import runpy, sys; sys.argv[1:] = {options}\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')",
        **stranger,
    )
    assert done.returncode == 0, done.stderr
    first, second, *rest = done.stderr.splitlines()  # no line of TensorFlow's
    assert first.startswith("loading ")
    assert second.startswith("averaging over 7,375 tokens")
    said = [x for x in rest if x and "token/s]" not in x]
    assert [x for x in said if not x.startswith("made ")] == []
    made = {p.name for p in (folder / "inspection-trained").iterdir()}
    assert made == {"memory.png", "memory.csv", "spectra.nc"}

    (shown,) = (b for b in code_blocks("text") if b.startswith("norm"))
    rows = {tuple(r.split()[:2]): r.split()[2:] for r in done.stdout.splitlines()}
    for row in shown.splitlines():
        name, *values = row.split()
        if name in ("...", "normalization"):
            continue
        # Threads add the sums in float32 in another order, and the smallest memory is
        # 2e-8 of the largest: as tests/inspection/test_model_files.py has it.
        ours = [float(x) for x in rows[name, values[0]]]
        assert ours == pytest.approx([float(x) for x in values[1:]], rel=1e-3, abs=1e-8)


# Without a backend, or with one that is not known to be right


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "code", "message"),
    [
        (
            "tensorflow",
            "sg.mean_state_gradients",
            "pip install 'state-gradients[tensorflow]', or set KERAS_BACKEND=jax",
        ),
        (
            "jax",
            "sg.type_gradients",
            "pip install 'state-gradients[jax]', or set KERAS_BACKEND=tensorflow",
        ),
        (
            "torch",
            "sg.mean_state_gradients",
            "must be tensorflow or jax, received torch, on which",
        ),
    ],
)
def test_a_backend_that_is_not_there_or_not_right(backend, code, message):
    done = python(
        f"import sys; sys.modules[{backend!r}] = None\n"
        f"import state_gradients as sg; {code}",
        KERAS_BACKEND=backend,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("state_gradients.foundation.loading.BackendError: ")
    assert message in last
    assert "site-packages" not in done.stderr  # nothing from inside Keras


@pytest.mark.slow
def test_the_command_says_in_one_line_that_there_is_no_backend(tmp_path):
    example = ROOT / "data" / "example"
    command = ["inspect", str(example / "trained.keras"), "--text"]
    command += [str(example / "valid.txt"), "--vocabulary"]
    command += [str(example / "vocabulary.txt")]
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from state_gradients import cli\n"
        f"cli.app({command})"
    )
    done = python(code, folder=tmp_path, KERAS_BACKEND="tensorflow")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    loading, error = done.stderr.splitlines()
    assert loading.startswith("loading ")
    assert error.startswith("error: ") and "state-gradients[tensorflow]" in error
