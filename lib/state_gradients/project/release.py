"""What must agree before a version is handed out: ``make release VERSION=1.2.3``.

It reads, builds the wheel and the source distribution from what is committed, and looks
at them. Nothing is tagged, pushed or uploaded: that is the workflow's, in
``.github/workflows/release.yml``, once the tag is there.
"""

import argparse
import datetime
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import yaml

from state_gradients.foundation import settings

VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
HEADING = re.compile(r"^## (?P<version>\S+)(?: \((?P<date>[\d-]+)\))?$", re.MULTILINE)
BUILT_FROM = ("lib", "pyproject.toml", "setup.py", "README.md", "LICENSE")
BUILD = """
import sys
from setuptools import build_meta
_, folder = sys.argv  # which setuptools replaces
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    wrong: str = ""  # what came, and what to do; nothing where all is well
    run: bool = True


def findings(version, root, *, dist=None):
    """Yield what was found, one :class:`Finding` at a time.

    Parameters
    ----------
    version : str
        The version that is to be released, as 1.2.3 or 1.2.3rc1.
    root : Path
        The checkout.
    dist : Path, optional
        Where wheel and source distribution go; by default nothing is built.
    """
    yield Finding("the version's form", _wrong_form(version))
    yield Finding("the tree is clean", _changed(root))
    yield Finding("the tag is free", _tag(version, root))
    yield Finding("versions agree", _versions(version, root))
    yield Finding("CHANGELOG.md", _changelog(version, root))
    yield Finding(".zenodo.json", _zenodo(root))
    if dist is None:
        return
    built, wrong = _built(root, dist)
    yield Finding("wheel and source distribution", wrong)
    if not wrong:
        yield Finding("what they hold", _contents(version, built, root))
        yield from _twine(built)


def _wrong_form(version):
    if VERSION.fullmatch(version):
        return ""
    return f"it must be as 1.2.3 or 1.2.3rc1, received {version!r}"


def _git(root, *arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _changed(root):
    changed = _git(root, "status", "--porcelain").splitlines()
    if not changed:
        return ""
    return f"commit or remove {len(changed)} changed files, as {changed[0].split()[-1]}"


def _tag(version, root):
    if not _git(root, "tag", "--list", f"v{version}"):
        return ""
    return f"v{version} is there already; a version is handed out once"


def _versions(version, root):
    source = (root / "lib" / "state_gradients" / "__init__.py").read_text("utf-8")
    (own,) = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    citation = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    places = {
        "lib/state_gradients/__init__.py": own,
        "CITATION.cff": str(citation.get("version")),
    }
    others = [f"{place} has {one}" for place, one in places.items() if one != version]
    return f"all must be {version}, but {'; '.join(others)}" if others else ""


def _changelog(version, root):
    text = (root / "CHANGELOG.md").read_text("utf-8")
    sections = list(HEADING.finditer(text))
    wanted = f"`## {version} (YYYY-MM-DD)`"
    if not sections or sections[0]["version"] != version:
        came = sections[0][0] if sections else "no section"
        return f"it must begin with {wanted}, and has {came!r}: name what is unreleased"
    end = sections[1].start() if len(sections) > 1 else len(text)
    if not text[sections[0].end() : end].strip():
        return f"{wanted} must say what is new, and is empty"
    citation = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    released = str(citation.get("date-released"))
    try:
        datetime.date.fromisoformat(sections[0]["date"] or "")
    except ValueError:
        return f"it must begin with {wanted}, and has {sections[0][0]!r}"
    if released != sections[0]["date"]:
        return (
            f"its date {sections[0]['date']} must be `date-released` of CITATION.cff, "
            f"which is {released}"
        )
    return ""


def _zenodo(root):
    """Hold Zenodo's metadata against CITATION.cff, which Zenodo does not read then."""
    try:
        zenodo = json.loads((root / ".zenodo.json").read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as wrong:
        return f"it must be JSON that Zenodo can read: {wrong}"
    citation = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    expected = {
        "title": citation["title"],
        "description": citation["abstract"],
        "license": citation["license"],
        "creators": [{"name": author["name"]} for author in citation["authors"]],
        "upload_type": "software",
    }
    others = [key for key, value in expected.items() if zenodo.get(key) != value]
    return f"{others} must be as in CITATION.cff" if others else ""


def _built(root, dist):
    """Return files built from what is committed, in another folder, and what failed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        archive = source / "source.tar"
        _git(root, "archive", "--output", str(archive), "HEAD", *BUILT_FROM)
        with tarfile.open(archive) as tar:
            tar.extractall(source / "source", filter="data")
        made = source / "made"
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(made)],
            cwd=source / "source",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return [], f"they must build: {done.stderr.strip().splitlines()[-1]}"
        dist.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(one, dist)) for one in sorted(made.iterdir())], ""


def _contents(version, built, root):
    """Return what is wrong with the names and the contents of what was built."""
    stem = f"state_gradients-{version}"
    expected = [f"{stem}-py3-none-any.whl", f"{stem}.tar.gz"]
    if [one.name for one in built] != expected:
        return f"they must be {expected}, received {[one.name for one in built]}"
    committed = _git(root, "ls-files", "lib/state_gradients").splitlines()
    modules = {name.removeprefix("lib/") for name in committed}
    with zipfile.ZipFile(built[0]) as wheel:
        in_wheel = set(wheel.namelist())
    with tarfile.open(built[1]) as tar:
        in_source = {name.removeprefix(f"{stem}/") for name in tar.getnames()}
    missing = modules - in_wheel or {f"lib/{name}" for name in modules} - in_source
    missing |= {"LICENSE", "README.md", "pyproject.toml", "setup.py"} - in_source
    if missing:
        return f"they must hold what is committed, and lack {sorted(missing)[:3]}"
    return ""


def _twine(built):
    """Yield what the package index would say of the metadata."""
    what = "twine check"
    if importlib.util.find_spec("twine") is None:
        yield Finding(what, "twine is not installed: run make", run=False)
        return
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    yield Finding(what, " ".join(lines) if done.returncode else "")


def main(arguments=None, *, root=None):
    """Print what was found, and return 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version")
    version = parser.parse_args(arguments).version
    root = root or settings.project_root()
    dist = root / "dist"
    found = []
    for finding in findings(version, root, dist=dist):
        found.append(finding)
        state = "ok" if not finding.wrong else "wrong" if finding.run else "not run"
        line = f"{state:8}{finding.what}"
        sys.stdout.write(f"{line}: {finding.wrong}\n" if finding.wrong else f"{line}\n")
    if any(finding.wrong for finding in found if finding.run):
        sys.stdout.write(f"{version} cannot be released yet\n")
        return 1
    left = [finding.what for finding in found if not finding.run]
    but = f", but for what was not run ({', '.join(left)})" if left else ""
    sys.stdout.write(
        f"{version} can be released{but}: git tag v{version} && git push origin "
        f"v{version}; {dist} holds what was looked at\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
