"""The house: imports go down, what pages load is light, and the map is of this house.

The contracts stand in pyproject.toml; import-linter checks them (``lint-imports``).
Run this file to write the map of CONTRIBUTING.md again.
"""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib" / "state_gradients"
BACKENDS = {"tensorflow", "keras", "jax", "torch"}
HEAVY = {"engine", "models"}  # the two rooms that compute with a backend
OPEN, CLOSE = "<!-- rooms: made by tests/test_rooms.py -->\n", "<!-- /rooms -->\n"


def check(lib=ROOT / "lib"):
    """Run import-linter on the package in `lib`."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("lint-imports")),
            *("--config", str(ROOT / "pyproject.toml"), "--no-cache"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=lib,
        env=os.environ | {"PYTHONPATH": str(lib)},
    )


def test_imports_go_down():
    done = check()
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("text/corpora.py", "from state_gradients.models import language_model"),
        ("engine/jobs.py", "from state_gradients.models import training"),
        (
            "engine/means.py",
            "def f():\n    from state_gradients.analysis import spectra",
        ),
        ("figures/curves.py", "from state_gradients.analysis import spectra"),
        ("foundation/labels.py", "from state_gradients.paper import ledger"),
        ("attic.py", "import numpy"),  # a module in no room
    ],
)
def test_an_import_upwards_is_seen(tmp_path, module, line):
    shutil.copytree(PACKAGE, tmp_path / "state_gradients")
    with (tmp_path / "state_gradients" / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = check(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr


def light_modules():
    """Names of all modules that must load without a backend."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in HEAVY and parts != ("foundation", "backends"):
            name = ".".join(("state_gradients", *parts)).removesuffix(".__init__")
            yield name


@pytest.mark.slow
def test_what_pages_and_the_command_line_load_needs_no_backend():
    code = (
        "import sys, importlib\n"
        f"for name in {list(light_modules())}: importlib.import_module(name)\n"
        f"sys.stdout.write(' '.join({BACKENDS} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def rooms():
    """Return the layers of the house, from the top, as pyproject.toml has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return contracts["tool"]["importlinter"]["contracts"][0]["layers"]


def floor_plan():
    """Return the map of the rooms, a Markdown table: what lives there, what to read."""
    rows = ["| room | what lives there |", "|---|---|"]
    for room in rooms():
        folder = PACKAGE / room
        source = (
            folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        )
        first = ast.get_docstring(ast.parse(source.read_text())).split("\n\n")[0]
        rows.append(f"| `{source.relative_to(PACKAGE.parent.parent)}` | {first} |")
    return "\n".join(rows).replace("/__init__.py", "/") + "\n"


def test_the_map_of_rooms_is_of_this_house():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert text.split(OPEN)[1].split(CLOSE)[0] == floor_plan()


def test_every_room_says_in_what_order_to_read_it():
    for room in rooms():
        if (folder := PACKAGE / room).is_dir():
            text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
            assert "\nRead `" in text, room
            named = {p.stem for p in folder.iterdir() if p.stem[0] != "_"}
            missing = {name for name in named if f"`{name}`" not in text}
            assert missing == set(), room


if __name__ == "__main__":
    path = ROOT / "CONTRIBUTING.md"
    before, rest = path.read_text().split(OPEN)
    path.write_text(before + OPEN + floor_plan() + CLOSE + rest.split(CLOSE)[1])
