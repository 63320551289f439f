"""A release that can be made, and each fault that stops one."""

import json
import os
import re
import shutil
import subprocess
import sys
import types

import pytest
import yaml

from state_gradients.project import release

FILES = (
    *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
    *("CITATION.cff", "CHANGELOG.md", ".zenodo.json", "params.yaml"),
)


def git(folder, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True)


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "as it is")


def edit(path, change):
    path.write_text(change(path.read_text("utf-8")), "utf-8")


@pytest.fixture
def checkout(tmp_path, root):
    """A checkout that is ready to be released as 1.2.3."""
    folder = tmp_path / "checkout"
    strangers = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(root / "lib", folder / "lib", ignore=strangers)
    for name in FILES:
        shutil.copy(root / name, folder)
    init = folder / "lib" / "state_gradients" / "__init__.py"
    own = '__version__ = "0.1.0"'
    edit(init, lambda text: text.replace(own, '__version__ = "1.2.3"'))
    citation = yaml.safe_load((folder / "CITATION.cff").read_text())
    citation |= {"version": "1.2.3", "date-released": "2026-12-01"}
    (folder / "CITATION.cff").write_text(yaml.safe_dump(citation))
    changes = (
        "# Changelog\n\n## 1.2.3 (2026-12-01)\n\n- All of it.\n\n## 0.1.0\n\n- x\n"
    )
    (folder / "CHANGELOG.md").write_text(changes)
    (folder / ".gitignore").write_text("dist/\n")
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def wrong(folder, version="1.2.3"):
    """Return what is wrong, by what was looked at, without a build."""
    found = release.findings(version, folder)
    return {finding.what: finding.wrong for finding in found if finding.wrong}


@pytest.mark.slow
def test_what_is_ready_is_built_and_can_be_released(checkout, capsys):
    assert release.main(["1.2.3"], root=checkout) == 0
    told = capsys.readouterr().out
    assert "wrong" not in told
    assert "git tag v1.2.3" in told
    built = sorted(one.name for one in (checkout / "dist").iterdir())
    names = ["state_gradients-1.2.3-py3-none-any.whl", "state_gradients-1.2.3.tar.gz"]
    assert built == names
    git(checkout, "diff", "--exit-code")  # a build leaves nothing among the sources
    assert wrong(checkout) == {}


@pytest.mark.slow
def test_a_module_that_the_wheel_lacks_is_found(checkout, capsys):
    pyproject = checkout / "pyproject.toml"
    package = 'packages = { find = { where = ["lib"] } }'
    assert package in pyproject.read_text()
    fewer = 'packages = ["state_gradients", "state_gradients.foundation"]'
    edit(pyproject, lambda text: text.replace(package, fewer))
    commit(checkout)
    assert release.main(["1.2.3"], root=checkout) == 1
    told = capsys.readouterr().out
    assert "what they hold: they must hold what is committed, and lack" in told
    assert "1.2.3 cannot be released yet" in told


@pytest.mark.slow
def test_what_does_not_build_says_so(checkout, capsys):
    edit(checkout / "pyproject.toml", lambda text: text + "\n[project\n")
    commit(checkout)
    assert release.main(["1.2.3"], root=checkout) == 1
    assert "source distribution: they must build: " in capsys.readouterr().out
    assert not (checkout / "dist").exists()


def test_a_version_must_look_like_one(checkout):
    assert set(wrong(checkout, "v1.2")) >= {"the version's form"}
    for version in ("1.2.3", "0.1.0", "10.0.0rc1", "1.0.0a2"):
        assert not release._wrong_form(version)
    for version in ("1.2", "1.2.3.dev0", "v1.2.3", "1.2.3 ", ""):
        assert release._wrong_form(version)


def test_changed_and_new_files_are_no_clean_tree(checkout):
    assert wrong(checkout) == {}
    (checkout / "new.txt").write_text("new")
    assert "new.txt" in wrong(checkout)["the tree is clean"]
    (checkout / "new.txt").unlink()
    edit(checkout / "README.md", lambda text: text + "\n")
    assert "README.md" in wrong(checkout)["the tree is clean"]


def test_a_tag_that_is_there_is_no_second_release(checkout):
    git(checkout, "tag", "v1.2.2")
    assert wrong(checkout) == {}
    git(checkout, "tag", "v1.2.3")
    assert "handed out once" in wrong(checkout)["the tag is free"]


@pytest.mark.parametrize(
    "place", ["CITATION.cff", "lib/state_gradients/__init__.py"], ids=str
)
def test_a_version_that_stands_behind_is_named(checkout, place):
    edit(checkout / place, lambda text: text.replace("1.2.3", "1.2.2"))
    commit(checkout)
    found = wrong(checkout)
    assert set(found) == {"versions agree"}
    assert found["versions agree"] == f"all must be 1.2.3, but {place} has 1.2.2"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("## 1.2.3 (2026-12-01)", "## Unreleased", "has '## Unreleased'"),
        ("## 1.2.3 (2026-12-01)", "## 1.2.3", "must begin with .*YYYY-MM-DD"),
        ("(2026-12-01)", "(2026-13-01)", "must begin with .*YYYY-MM-DD"),
        ("(2026-12-01)", "(2026-12-02)", "`date-released` of CITATION.cff"),
        ("- All of it.\n\n", "", "must say what is new"),
        ("## ", "### ", "no section"),
    ],
)
def test_a_changelog_must_begin_with_the_version_its_date_and_what_is_new(
    checkout, old, new, told
):
    edit(checkout / "CHANGELOG.md", lambda text: text.replace(old, new))
    commit(checkout)
    found = wrong(checkout)
    assert set(found) == {"CHANGELOG.md"}
    assert re.search(told, found["CHANGELOG.md"])


@pytest.mark.parametrize(
    "key", ["title", "description", "license", "creators", "upload_type"]
)
def test_zenodo_is_told_what_the_citation_says(checkout, key):
    path = checkout / ".zenodo.json"
    zenodo = json.loads(path.read_text())
    path.write_text(json.dumps(zenodo | {key: "another"}))
    assert wrong(checkout)[".zenodo.json"].startswith(f"['{key}'] must be as")
    path.write_text("{")
    assert "must be JSON" in wrong(checkout)[".zenodo.json"]


def test_zenodo_is_told_what_this_citation_says(root):
    assert release._zenodo(root) == ""


def test_twine_is_asked_where_it_is_and_named_where_it_is_not(tmp_path, monkeypatch):
    """What it says, the exit status decides."""
    package = tmp_path / "twine"
    package.mkdir()
    said = "import sys; print('received', *sys.argv[1:]); sys.exit('bad' in sys.argv)"
    (package / "__main__.py").write_text(said)
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(
        release.importlib.util, "find_spec", lambda name: types.ModuleType(name)
    )
    assert list(release._twine(["good"])) == [release.Finding("twine check")]
    (found,) = release._twine(["bad"])
    assert (found.wrong, found.run) == ("received check --strict bad", True)
    monkeypatch.setattr(release.importlib.util, "find_spec", lambda name: None)
    (found,) = release._twine(["good"])
    assert (found.run, "not installed" in found.wrong) == (False, True)


def test_the_workflow_publishes_what_was_looked_at_and_keeps_no_password(root):
    text = (root / ".github" / "workflows" / "release.yml").read_text()
    assert text.startswith("# NOT RUN: ")
    workflow = yaml.safe_load(text)
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads "on" so
    build, publish = (workflow["jobs"][name] for name in ("build", "publish"))
    commands = [step["run"] for step in build["steps"] if "run" in step]
    assert commands[-1] == 'make release VERSION="${GITHUB_REF_NAME#v}"'
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in text and "password:" not in text
    (kept,) = [x["with"] for x in build["steps"] if "upload" in x.get("uses", "")]
    (taken,) = [x["with"] for x in publish["steps"] if "download" in x["uses"]]
    assert (kept["name"], kept["path"]) == (taken["name"], taken["path"])


def test_the_command_ends_as_the_release_does(checkout):
    """Here it fails, for there is no such version; the Makefile stops with it."""
    done = subprocess.run(
        [sys.executable, "-m", "state_gradients.project.release", "9.9"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"STATE_GRADIENTS_ROOT": str(checkout)},
    )
    assert done.returncode == 1
    assert "it must be as 1.2.3" in done.stdout
