"""What conda, pip and Binder install: pyproject.toml's dependencies, as the locks pin.

No conda runs here. Its environment is read: a Python, and the lock that pip is given.
"""

import re
import tomllib

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# Of the extras, those that requirements.lock pins, and those of the lock beside it.
# `gpu` is pinned nowhere: what it needs depends on the machine's driver.
PINNED = {
    "requirements.lock": ("tensorflow", "render", "tags", "torch"),
    "requirements-extras.lock": ("jax", "scale"),
}
PLATFORMS = [("linux", "x86_64"), ("darwin", "arm64"), ("win32", "AMD64")]


@pytest.fixture
def pyproject(root):
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture
def environment(root):
    return yaml.safe_load((root / "environment.yml").read_text("utf-8"))


def pins(path):
    """Return the lines of a lock without hashes, as requirements."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    lines = [re.sub(r"\s--hash=\S+", "", x) for x in text.splitlines()]
    return [
        Requirement(x) for x in lines if x.strip() and not x.lstrip().startswith("#")
    ]


def on(python, platform):
    """Return a machine as markers see it."""
    system, machine = platform
    return default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}.get(
            system, "Windows"
        ),
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": machine,
    }


def installed(lock, machine):
    """Return by name the version that a lock installs on a machine."""
    versions = {}
    for pin in lock:
        if pin.marker is None or pin.marker.evaluate(machine):
            name = canonicalize_name(pin.name)
            assert name not in versions, f"two versions of {name}"
            (exact,) = pin.specifier
            assert exact.operator == "=="
            versions[name] = exact.version
    return versions


def wanted(pyproject, lock):
    """Return what pyproject.toml asks of a lock."""
    project = pyproject["project"]
    lines = [
        line
        for extra in PINNED[lock]
        for line in project["optional-dependencies"][extra]
    ]
    if lock == "requirements.lock":
        lines += project["dependencies"]
        lines += [x for group in pyproject["dependency-groups"].values() for x in group]
    return [Requirement(line) for line in lines]


def python_of(environment):
    (line,) = [x for x in environment["dependencies"] if str(x).startswith("python=")]
    return line.removeprefix("python=")


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
@pytest.mark.parametrize("lock", PINNED)
def test_a_lock_pins_all_that_is_asked_for_at_a_version_that_is_allowed(
    lock, platform, root, pyproject, environment
):
    machine = on(python_of(environment), platform)
    versions = installed(pins(root / lock), machine)
    asked = wanted(pyproject, lock)
    assert len(asked) >= 3
    for requirement in asked:
        if requirement.marker is None or requirement.marker.evaluate(machine):
            version = versions.get(canonicalize_name(requirement.name))
            assert version is not None, f"{lock} lacks {requirement}: make lock"
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{lock} has {requirement.name} {version}, not {requirement}: make lock"
            )


def test_every_extra_is_pinned_or_depends_on_the_machine(pyproject):
    pinned = {extra for extras in PINNED.values() for extra in extras}
    assert set(pyproject["project"]["optional-dependencies"]) == pinned | {"gpu"}


def test_the_locks_agree_where_both_pin(root):
    machine = on("3.11", PLATFORMS[0])
    first, second = (installed(pins(root / lock), machine) for lock in PINNED)
    both = first.keys() & second.keys()
    assert both  # click, for one
    assert {name: first[name] for name in both} == {name: second[name] for name in both}


def test_conda_and_binder_take_a_python_that_is_allowed_and_the_lock(
    root, pyproject, environment
):
    python = python_of(environment)
    allowed = SpecifierSet(pyproject["project"]["requires-python"])
    assert allowed.contains(f"{python}.9")
    assert f"--python-version {python}" in (root / "Makefile").read_text()  # the lock's
    assert (
        f"Programming Language :: Python :: {python}"
        in pyproject["project"]["classifiers"]
    )
    assert environment["name"] == pyproject["project"]["name"]
    assert environment["channels"] == ["conda-forge"]
    (of_pip,) = [x["pip"] for x in environment["dependencies"] if isinstance(x, dict)]
    assert of_pip == ["-r requirements.lock"]
    binder = root / ".binder"
    assert (binder / "runtime.txt").read_text().strip() == f"python-{python}"
    assert (
        binder / "requirements.txt"
    ).read_text().strip() == "-r ../requirements.lock"
