"""The page "What can go wrong, and what you will read": its rows are cases of tests.

Each family is a table of another test module, whose tests hold every message against
what it must say. Here the same cases run once more, and what they say must be what the
page shows. Run this file to write the page again.
"""

import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
PAGE = ROOT / "book" / "what-can-go-wrong.md"
OPEN = "<!-- cases: made by tests/test_what_can_go_wrong.py -->\n"
CLOSE = "<!-- /cases -->\n"
sys.path += [str(TESTS), *(str(path) for path in TESTS.iterdir() if path.is_dir())]

import test_artifacts as on_disk  # noqa: E402  they stand in folders, one a room
import test_checkpoints as checkpoint_files  # noqa: E402
import test_compare as compared  # noqa: E402
import test_corpora as own_texts  # noqa: E402
import test_faults as runs  # noqa: E402
import test_number_files as of_numbers  # noqa: E402
import test_numbers as numbers  # noqa: E402
import test_params_refused as params  # noqa: E402
import test_property_asked as of_properties  # noqa: E402
import test_reading as readings  # noqa: E402
import test_saved as hdf5  # noqa: E402
import test_sentence_files as sentences  # noqa: E402
import test_series as series  # noqa: E402
import test_text_files as commands  # noqa: E402
import test_torch_weights as torch  # noqa: E402
import test_uncertainty as intervals  # noqa: E402
import test_what_is_not_known_to_be_right as engine  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the page shows what Linux says"
)


@dataclass(frozen=True)
class Family:
    """Some cases of one table.

    Attributes
    ----------
    said : callable
        From a case and an empty folder to the message.
    cases : sequence of str
        Of the table.
    title : str
        What the page calls a case.
    advice : mapping of str
        By case: what to do, where the message does not say it.
    """

    said: Callable[[str, Path], str]
    cases: tuple
    title: str = "{}"
    advice: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        assert {*self.advice} <= {*self.cases}


def all_but(table, *left_out):
    """Return the cases of a table, without those that say what another says."""
    assert {*left_out} <= {*table}
    return tuple(case for case in table if case not in left_out)


@functools.cache
def asked():
    """Return the model of which too much is asked."""
    return engine.two_layers()


def of_commands(*cases):
    assert {*cases} <= {*commands.ASKED}
    return Family(commands.refusal_of_command, cases)


# ------------------------------------------------------------- what goes wrong in a run


def project_in(folder, patch):
    """Make the project of the tests of faults; patch the environment to it."""
    patch.setenv("STATE_GRADIENTS_ROOT", str(folder))
    runs.project.__wrapped__(folder, patch)


def command(*arguments):
    """Return what a command says that must fail."""
    done = CliRunner().invoke(runs.cli.app, [*arguments])
    assert done.exit_code > 0, done.output
    return done.stderr.strip().splitlines()[-1]


def held(folder):
    code = [sys.executable, "-c", runs.HOLD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(code, **pipes) as process:
        process.stdout.readline()
        said = command("train", "mine")
        process.kill()
    return said.replace(str(process.pid), "4711")


def stopped(folder):
    experiment = runs.settings.load_experiment("mine")
    path = runs.checkpoints.checkpoint_path(experiment)
    history = {name: [9.0, 8.0] for name in runs.checkpoints.CURVES}
    runs.checkpoints.save_checkpoint(path, [runs.np.ones(2)], [], history)
    with pytest.MonkeyPatch.context() as patch:
        ask = {"train": lambda *_, **__: signal.raise_signal(signal.SIGTERM)}
        patch.setattr(runs.stages, "RUN", ask)
        return command("train", "mine")


def unwritable(folder):
    (folder / "data").mkdir()
    (folder / "data" / "artifacts").symlink_to("/proc")
    return command("train", "mine")


def far(experiment):
    return lambda folder: command("train", experiment)


RUNS = {
    "a name that is no experiment": lambda folder: command("train", "mime"),
    "a text too short for the delays": far("further"),
    "a text too short for the blocks of intervals": far("far"),
    "a stage whose input is not there": lambda folder: command("analyse", "mine"),
    "a second run of the same experiment": held,
    "a project that cannot be written": unwritable,
    "Ctrl-C, or a machine that shuts down": stopped,
}


def said_of_run(case, folder):
    with pytest.MonkeyPatch.context() as patch:
        project_in(folder, patch)
        return RUNS[case](folder)


# ---------------------------------------------------------------- experiments compared


@functools.cache
def compared_project():
    """Return a temporary folder with the project of the tests of `compare`."""
    folder = tempfile.TemporaryDirectory(prefix="compared-")
    compared.make_project(Path(folder.name))
    return folder  # which goes when the last case has been asked


def refusal_of_experiments(case, folder):
    """Return what is said in the project of the tests of `compare`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", compared_project().name)
        patch.chdir(compared_project().name)
        return compared.refused(*compared.EXPERIMENTS_REFUSED[case][0])


# -------------------------------------------------------------------------- the page

PLAIN = (
    "Put a plain Embedding in its place, and into its table what this one looks up: "
    "`plain.embeddings.assign(layer(np.arange(n_types)))`."
)
SECTIONS = {
    "A model": [
        Family(
            lambda case, _: engine.refusal_of_model(case),
            all_but(
                engine.MODELS,
                "An embedding in mixed bfloat16",
                "A recurrent layer called with training=True",
            ),
            advice={
                "An embedding quantized to int8": PLAIN,
                "An embedding with LoRA weights": PLAIN,
                "Mixed precision": 'Build it with `dtype="float32"`, and give it the '
                "weights by `set_weights`.",
            },
        ),
        of_commands(
            "no model",
            "a model that is text",
            "a zip file that is no model",
            "a model with a lambda",
            "a model with a layer of somebody's own",
            "a model with an activation of somebody's own",
            "a module that is not there",
            "a module that does not run",
            "a module that leaves Python",
        ),
        Family(
            hdf5.refusal_of_hdf5,
            all_but(hdf5.HDF5, "a pointer of Git LFS"),
            title="{}, in HDF5",
        ),
        Family(hdf5.refusal_of_hdf5, ("a pointer of Git LFS",)),
    ],
    "Weights of PyTorch": [
        Family(
            torch.refusal_of_file,
            all_but(torch.FILES, "a pickle", "a pickle by another name"),
            title="{}, in safetensors",
        ),
        Family(torch.refusal_of_file, ("a pickle", "a pickle by another name")),
        Family(lambda case, _: torch.refusal_of_torch(case), all_but(torch.REFUSED)),
        of_commands("names of PyTorch's modules, for a model of Keras"),
    ],
    "Inputs that are no words": [
        Family(lambda case, _: numbers.refusal_of_model(case), all_but(numbers.MODELS)),
        Family(
            lambda case, _: numbers.refusal_of_argument(case),
            all_but(numbers.ARGUMENTS, "`inputs` of complex numbers"),
        ),
        Family(series.refusal_of_series, all_but(series.REFUSED)),
        Family(of_numbers.refusal_of_numbers, all_but(of_numbers.NUMBERS)),
    ],
    "A text and its vocabulary": [
        Family(readings.refusal_of_reading, all_but(readings.READINGS)),
        of_commands(
            "no text",
            "no vocabulary",
            "a vocabulary of another size",
            "a vocabulary with a word twice",
            "a vocabulary with two words in a line",
            "an empty vocabulary",
            "a vocabulary that is not UTF-8",
            "a vocabulary in a pickle",
            "a dictionary in JSON, in the place of a Tokenizer",
            "a word without an id",
            "a text that is too short",
        ),
        Family(of_properties.refusal_of_property, all_but(of_properties.PROPERTIES)),
        Family(sentences.refusal_of_sentence, all_but(sentences.SENTENCES)),
        Family(
            own_texts.refusal_of_text,
            all_but(own_texts.TEXTS_REFUSED, "a text of white space"),
            title="{}, to be trained on",
        ),
        Family(
            lambda case, _: engine.refusal(asked(), engine.IDS_REFUSED[case]),
            all_but(engine.IDS_REFUSED, "complex numbers"),
            title="`ids`: {}",
        ),
    ],
    "Arguments and options": [
        Family(
            lambda case, _: engine.refusal_of_argument(asked(), case),
            all_but(
                engine.ARGUMENTS,
                "dtype=np.float64",
                "layer=True",
                "max_delay=True",
                "max_delay=-1",
                "window=0",
                "state=1",
                "groups=np.ones((1, 11))",
            ),
            title="`{}`",
        ),
        of_commands(
            "a state that the cell does not have",
            "a layer that the model does not have",
            "an output that is a file",
            "an output below a file",
        ),
    ],
    "Settings": [
        Family(
            params.refusal_of_file,
            (
                "a setting twice",
                "an experiment called 3",
                "an experiment called on",
                "a list for a name",
                "a folder for a name",
                "a name of 300 letters",
                "a setting of two lines",
                "nested aliases",
                "an alias inside itself",
                "a file of 2 MB",
                "units of 400 digits",
                "a value of 100,000 letters",
                "five units on the synthetic corpus",
                "two layers on the synthetic corpus",
                "an object",
                "no YAML",
                "two documents",
                "not UTF-8",
            ),
        ),
        Family(
            params.refusal_of_place,
            all_but(params.PLACES, "a link in a circle"),
            title="{} in the place of params.local.yaml",
        ),
    ],
    "Checkpoints and artifacts": [
        Family(
            checkpoint_files.refusal_of_checkpoint,
            (
                "truncated",
                "empty",
                "without squares",
                "a flipped sign",
                "a shortened history",
                "of the other optimizer",
            ),
            title="A checkpoint: {}",
        ),
        Family(on_disk.refusal_of_artifact, all_but(on_disk.ON_DISK)),
    ],
    "Intervals": [
        Family(intervals.refusal_of_samples, tuple(intervals.REFUSED)),
    ],
    "Two models compared": [
        Family(
            compared.refusal_of_models,
            all_but(compared.MODELS_REFUSED, "no text", "no model", "no such state"),
            title="compare: {}",
        ),
        Family(
            compared.refusal_of_numbers,
            all_but(compared.NUMBERS_REFUSED, "no inputs"),
            title="compare: {}",
        ),
        Family(
            refusal_of_experiments,
            all_but(compared.EXPERIMENTS_REFUSED, "no folder", "a sure thing"),
            title="compare, of experiments: {}",
        ),
    ],
    "A run": [
        Family(
            said_of_run,
            tuple(RUNS),
            advice={
                "a second run of the same experiment": "Wait for the other one. A lock "
                "ends with its process, however that ends: nothing is to be removed by "
                "hand.",
                "Ctrl-C, or a machine that shuts down": "The exit status is 130 for "
                "Ctrl-C (SIGINT), 143 for SIGTERM. Go on when you like: the result is "
                "the same, bit for bit.",
            },
        ),
    ],
}


def run(family, case):
    """Return what a case says, in an empty folder whose path is left out."""
    import keras

    keras.utils.clear_session()  # layers are numbered from the first again
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name).resolve()
        patch.chdir(folder)
        patch.setenv("STATE_GRADIENTS_ROOT", str(folder))
        said = family.said(case, folder)
    said = re.sub(r"eof = \d+", "eof = N", said)  # attributes name the machine
    for path in (f"{folder}/", f"{name}/", f"{ROOT}/"):
        said = said.replace(path, "")
    return said.replace(f"{engine.__name__}.", "yours.").replace(str(folder), ".")


def code(text):
    """Return a text as code in a line of Markdown, fenced by more than it holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def entry(family, case):
    """Return a case as an entry of a definition list: what came, what is said."""
    title = family.title.format(case)
    lines = [title[0].upper() + title[1:]]
    first, *rest = run(family, case).splitlines()
    lines.append(f": {code(first)}")
    for line in rest:
        lines += ["", f"  {code(line.strip())}"]
    if advice := family.advice.get(case):
        lines += ["", f"  {advice}"]
    return "\n".join(lines) + "\n"


def cases():
    """Return the page's sections: all their cases, as they are refused now."""
    parts = []
    for heading, families in SECTIONS.items():
        parts.append(f"## {heading}\n")
        parts += [entry(family, case) for family in families for case in family.cases]
    return "\n".join(parts)


@pytest.mark.slow
def test_the_page_shows_what_is_said_now():
    shown = PAGE.read_text("utf-8").split(OPEN)[1].split(CLOSE)[0].splitlines()
    assert shown == f"\n{cases()}\n".splitlines(), "run this file to write it again"


def test_no_title_stands_for_two_cases():
    titles = [
        family.title.format(case).lower()
        for families in SECTIONS.values()
        for family in families
        for case in family.cases
    ]
    assert sorted({*titles}) == sorted(titles)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    before, rest = PAGE.read_text("utf-8").split(OPEN)
    made = before + OPEN + f"\n{cases()}\n" + CLOSE + rest.split(CLOSE)[1]
    PAGE.write_text(made, "utf-8")
