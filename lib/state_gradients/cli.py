"""The command ``state-gradients``: corpora, stages, status, ledger, own models.

Each command imports what it needs by itself, so that none waits for another's.
"""

import contextlib
import functools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

import state_gradients

app = typer.Typer(
    help="State gradients: what a recurrent network remembers of its inputs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="Experiment, as in params.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")]
# How a model and its text are read, in `inspect` and in `compare`
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", help="Module or FILE.py to run for its Keras classes."),
]
ByLine = Annotated[bool, typer.Option("--by-line", help="Each line is a text.")]
Context = Annotated[
    int | None, typer.Option(min=1, help="Windows of so many tokens or steps.")
]
Pad = Annotated[
    str | None, typer.Option(help="left or right: to the model's input length.")
]
PadId = Annotated[int, typer.Option(min=0, help="With what.")]
Model = Annotated[
    Path,
    typer.Argument(help="A Keras model, .keras or .h5; or PyTorch's .safetensors."),
]
VocabularyFile = Annotated[
    Path | None,
    typer.Option(help="A token a line, in id order; or a Tokenizer's JSON."),
]
Embedding = Annotated[
    str | None, typer.Option(help="Of PyTorch: the nn.Embedding's name.")
]
Recurrent = Annotated[
    list[str] | None,
    typer.Option(help="Of PyTorch: the nn.LSTM's name; several, lowest first."),
]
Nonlinearity = Annotated[
    str | None, typer.Option(help="Of PyTorch's nn.RNN: tanh or relu.")
]
Above = Annotated[
    list[str] | None,
    typer.Option(help="Of PyTorch: a module or weight above the recurrent ones."),
]
State = Annotated[str | None, typer.Option(help="Such as hidden, cell.")]
Shrinkage = Annotated[
    str | None, typer.Option(help="auto, or 0 to 1: for few words, when whitening.")
]
Influence = Annotated[
    bool,
    typer.Option(
        "--influence",
        help="What a word changes in what a softmax predicts later, in nats, too.",
    ),
]
Layer = Annotated[int, typer.Option(min=1, help="Of a model: 1 is the lowest.")]
Folder = Annotated[Path | None, typer.Option(help="A folder.")]
# TensorFlow's search for a GPU; what fails in it is raised in Python, too
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _foreseen():
    """Return the classes of errors that a command ends with in one line."""
    from state_gradients.foundation.loading import BackendError
    from state_gradients.project.artifacts import ArtifactError

    known = ValueError, OSError, RuntimeError, FloatingPointError
    return (*known, ArtifactError, BackendError)


def _command(function):
    """Register a command whose foreseen errors print as one line, with status 1."""

    @app.command(function.__name__.removesuffix("_").replace("_", "-"))
    @functools.wraps(function)
    def run(*arguments, **options):
        try:
            return function(*arguments, **options)
        except typer.Exit:  # a RuntimeError, but no error
            raise
        except _foreseen() as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(1) from error

    return run


def _print(table, as_json, *, decimals=10):
    if as_json:
        options = {"indent": 2, "force_ascii": False, "double_precision": decimals}
        typer.echo(table.to_json(orient="records", **options))
    else:
        typer.echo(table.to_string(index=False, na_rep=""))


def _say(line):
    typer.echo(line, err=True)


class _StoppedError(KeyboardInterrupt):
    """A signal asks to stop; as a KeyboardInterrupt no library takes it for a fault."""


@contextlib.contextmanager
def _stoppable(command, experiment):
    """End a stage on SIGINT or SIGTERM in order; the last line says how to go on.

    The signal is raised where the stage is, so that what it was writing is taken back.
    More of them are passed over until that is done. Within a library's compiled code it
    may come out as another error: after a signal, every error is the stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    received = []
    usual_hook = sys.unraisablehook

    def stop(number, frame):
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        received.append(number)
        raise _StoppedError

    def again(lost):
        """Let the stop come again where Python had to drop it, as in a `__del__`."""
        if lost.exc_type is _StoppedError:
            signal.signal(received[0], stop)
        else:
            usual_hook(lost)

    handlers = {number: signal.signal(number, stop) for number in signals}
    sys.unraisablehook = again
    try:
        with _repeated(signals):
            yield
    except BaseException:
        if not received:
            raise
    else:
        return
    finally:
        sys.unraisablehook = usual_hook
        for each, handler in handlers.items():
            signal.signal(each, handler)
    _close_bars()
    _say(
        f"\n{experiment.name}: stopped; {_what_stays(experiment)}; go on with "
        f"`state-gradients {command} {experiment.name}`."
    )
    raise typer.Exit(128 + received[0])  # as a shell has it: 130 and 143


@contextlib.contextmanager
def _repeated(signals):
    """Send a signal that came again, every half second until the body has ended.

    Python's handler runs between two instructions of the main thread: a wait that began
    just after the signal, or while another thread was given it, would be waited out.
    """
    if not hasattr(signal, "pthread_kill"):  # Windows
        yield
        return
    main = threading.get_ident()
    ended = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # as `set_wakeup_fd` asks

    def repeat():
        for (number,) in iter(lambda: os.read(reader, 1), b""):
            while number in signals and not ended.wait(0.5):
                signal.pthread_kill(main, number)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    usual = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(usual)
        ended.set()
        os.close(writer)
        thread.join()
        os.close(reader)


def _close_bars():
    """Close the progress bars that the stage has left open: they would print later."""
    from tqdm import tqdm

    for bar in [*getattr(tqdm, "_instances", ())]:
        bar.close()


def _what_stays(experiment):
    from state_gradients.models import checkpoints

    with contextlib.suppress(ValueError, OSError):
        path = checkpoints.checkpoint_path(experiment)
        if path.is_file():
            history = checkpoints.load_checkpoint(path)[2]
            return f"the checkpoint of epoch {len(history['seconds'])} stays"
    return "nothing is half-written"


def _run_stage(command, name, **options):
    """Run a stage by its command's name."""
    from state_gradients.foundation import settings
    from state_gradients.paper import stages

    experiment = settings.load_experiment(name)
    with _stoppable(command, experiment):
        stages.RUN[command](experiment, **options)


def _print_version(is_asked: bool):
    if is_asked:
        typer.echo(f"state-gradients {state_gradients.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version, and end.",
        ),
    ] = False,
):
    """State gradients: what a recurrent network remembers of its inputs."""


def _text(name):
    """Return a corpus's settings, those of the first experiment on it, and its text."""
    from state_gradients.foundation import settings
    from state_gradients.text import corpora

    try:
        names = settings.experiment_names()
    except FileNotFoundError:
        if "STATE_GRADIENTS_ROOT" in os.environ:  # a project that is not there
            raise
        names = []  # outside a project: the default settings
    used = [settings.load_experiment(name).corpus for name in names]
    chosen = next((c for c in used if c.name == name), settings.Corpus(name=name))
    return chosen, corpora.load(chosen)


@_command
def corpus(
    name: str,
    of: Annotated[str, typer.Option(help="Word vectors: of this corpus's types")] = (
        "ptb"
    ),
    output: Annotated[
        Path | None, typer.Option(help="Word vectors: the file to write.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="A folder to write the text to, with a card that says of it "
            "what it is, whose, and how it was counted."
        ),
    ] = None,
    as_json: AsJson = False,
):
    """Find or fetch a corpus or word vectors (glove), check them, print their sizes.

    Word vectors are written as word2vec text, by default to NAME-OF.txt; words that
    the set lacks are drawn at random, and listed.
    """
    from state_gradients.text import vectors

    if name in vectors.REGISTRY:
        if write:
            raise typer.BadParameter(
                f"`--write` needs a corpus, received {name}, which is a set of word "
                "vectors: say `--output FILE`."
            )
        _word_vectors(name, of, output or Path(f"{name}-{of}.txt"), as_json)
        return
    settings_of, text = _text(name)
    if write:
        from state_gradients.text import writing

        for path in writing.write(settings_of, text, write):
            _say(f"written: {path}")
    sizes = {split: len(ids) for split, ids in text.splits.items()}
    sizes |= {"vocabulary": len(text.vocabulary)}
    typer.echo(json.dumps(sizes) if as_json else f"{name}: {sizes}")


def _word_vectors(name, of, output, as_json):
    from state_gradients.foundation.atomic import replacing
    from state_gradients.text import vectors

    vocabulary = _text(of)[1].vocabulary
    table, drawn = vectors.registered_vectors(name, vocabulary, corpus=of)
    with replacing(output) as temporary, temporary.open("w", encoding="utf-8") as file:
        vectors.write_vectors(file, vocabulary, table)
    sizes = {"types": len(table), "components": table.shape[1], "drawn": len(drawn)}
    if as_json:
        typer.echo(json.dumps(sizes | {"file": str(output), "words_drawn": drawn}))
        return
    typer.echo(f"{name}, for the types of {of}: {sizes}, in {output}")
    typer.echo(f"drawn at random, for {name} lacks them: {' '.join(drawn)}")


@_command
def train(
    name: Name,
    restart: bool = False,
    keep_encoders: Annotated[
        str | None,
        typer.Option(help="Epochs, such as 1,2,4,8: for `learning`, in _work/."),
    ] = None,
):
    """Train, from the last checkpoint on unless --restart, and keep what is needed."""
    options = {"resume": not restart}
    if keep_encoders is not None:
        options["keep"] = _epochs(keep_encoders)
    _run_stage("train", name, **options)


def _epochs(text):
    """Return the epochs of a list like 1,2,4 as a tuple."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(
            "train (--keep-encoders): the epochs must be whole numbers from 1 with "
            f"commas between them, such as 1,2,4,8, received {text!r}."
        )
    return tuple(sorted({int(part) for part in parts}))


@_command
def rates(
    name: Name,
    rate: Annotated[
        list[float] | None, typer.Option(help="To try; 0.1, 0.3 and 1 by default.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of each trial.")] = 2,
    as_json: AsJson = False,
):
    """Compare learning rates by short trainings, from which `train` can go on.

    A rate is taken up by writing it into params.yaml as training.learning_rate.
    """
    from state_gradients.foundation import settings
    from state_gradients.foundation.loading import load_keras
    from state_gradients.project import locks

    load_keras()
    from state_gradients.models import rates as trials

    experiment = settings.load_experiment(name)
    with _stoppable("rates", experiment), locks.alone(experiment):
        curves = trials.compare_rates(
            experiment, rates=rate or trials.RATES, epochs=epochs
        )
    best = trials.best_rate(curves)
    table = curves.to_dataframe().reset_index()
    _print(table.assign(is_best=table["learning_rate"] == best), as_json)


@_command
def extract(name: Name):
    """Average the state gradients of a trained experiment over its text."""
    _run_stage("extract", name)


@_command
def analyse(name: Name):
    """Decompose the mean gradients of an experiment."""
    _run_stage("analyse", name)


@_command
def explain(name: Name):
    """Ask why the states of an experiment on the synthetic corpus read as they do."""
    _run_stage("explain", name)


@_command
def types(name: Name):
    """Measure memory and decay of an experiment's word types, and the controls."""
    _run_stage("types", name)


@_command
def classes(name: Name):
    """Average the state gradients of word classes and of both sides of properties."""
    _run_stage("classes", name)


@_command
def properties(name: Name):
    """Ask how well properties of an experiment's words are remembered."""
    _run_stage("properties", name)


@_command
def linear(name: Name):
    """Tell parts of speech apart in the embeddings by a linear classifier (Table 3)."""
    _run_stage("linear", name)


@_command
def positions(name: Name):
    """Hold surprisals against memories, word by word, and replace words."""
    _run_stage("positions", name)


@_command
def coherence(name: Name):
    """Split what averaging does to an experiment's gradients."""
    _run_stage("coherence", name)


@_command
def grammar(name: Name):
    """Hold a network on the generated language against its truth."""
    _run_stage("grammar", name)


@_command
def tail(name: Name):
    """Follow an experiment's memory up to 500 words back."""
    _run_stage("tail", name)


@_command
def boundaries(name: Name):
    """Compare the memory within a sentence with that of sentences before."""
    _run_stage("boundaries", name)


@_command
def context(name: Name):
    """Ask how far back an experiment's predictions reach, by changing words there."""
    _run_stage("context", name)


@_command
def forgetting(name: Name):
    """Ask whether an experiment says stretches again that it has just read."""
    _run_stage("forgetting", name)


@_command
def learning(name: Name):
    """Ask when memory appears in training, by encoders that it has kept."""
    _run_stage("learning", name)


@_command
def flipflop(name: Name):
    """Hold a network that reads pulses against what it must remember of them."""
    _run_stage("flipflop", name)


@_command
def stretches(name: Name):
    """Leave out each stretch of an experiment's text in turn, for `compare`."""
    _run_stage("stretches", name)


@_command
def influence(name: Name):
    """Measure in nats what an experiment's words change in what is predicted later."""
    _run_stage("influence", name)


@_command
def layers(name: Name):
    """Ask what each layer remembers, of the words and of the layer below."""
    _run_stage("layers", name)


@_command
def half_lives(name: Name):
    """Ask how long single units of an experiment hold what they hold."""
    _run_stage("half-lives", name)


@_command
def tagged_classes(name: Name):
    """Ask how parts of speech are remembered, on a text whose tokens carry tags."""
    _run_stage("tagged-classes", name)


@_command
def reproduce(
    names: list[str],
    jobs: Annotated[
        int, typer.Option(min=1, help="Studies at a time, each with its own memory.")
    ] = 2,
):
    """Run what is missing or stale of experiments' stages, and nothing else."""
    from state_gradients.foundation import settings
    from state_gradients.paper import reproduction

    # a wrong name is refused before the first one's hours of work
    experiments = {name: settings.load_experiment(name) for name in names}
    for name, experiment in experiments.items():
        with _stoppable("reproduce", experiment):
            ran = reproduction.reproduce(name, jobs=jobs, report=_say)
        _say(f"{name}: {', '.join(ran) if ran else 'everything is fresh'}")


@_command
def status(
    names: Annotated[list[str] | None, typer.Argument()] = None, as_json: AsJson = False
):
    """Say of each artifact whether it is fresh, stale (and why) or missing."""
    from state_gradients.project import artifacts

    _print(artifacts.status(names=names or None), as_json)


@_command
def ledger_(as_json: AsJson = False):
    """Print a row for every published number: published, ours, verdict, why."""
    from state_gradients.paper import ledger

    _print(ledger.table(), as_json)


@_command
def claims_(as_json: AsJson = False):
    """Print each claim of the paper with its verdict; --json adds what tests it."""
    from state_gradients.paper import claims

    judged = claims.table()
    typer.echo(claims.as_json(judged) if as_json else claims.as_text(judged))


@_command
def inspect(
    model: Model,
    text: Annotated[
        list[Path] | None,
        typer.Option(help="Words, in UTF-8; a file or folder, or several."),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="Numbers in the place of words: .csv, .npy, .npz or .nc."),
    ] = None,
    vocabulary: VocabularyFile = None,
    imports: Imports = None,
    embedding: Embedding = None,
    recurrent: Recurrent = None,
    nonlinearity: Nonlinearity = None,
    above: Above = None,
    by_line: ByLine = False,
    context: Context = None,
    pad: Pad = None,
    pad_id: PadId = 0,
    max_delay: Annotated[int, typer.Option(min=0)] = 50,
    state: State = None,
    layer: Layer = 1,
    tolerance: Annotated[
        float | None, typer.Option(help="Such as 1e-4, for hundreds of delays.")
    ] = None,
    shrinkage: Shrinkage = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="Words and the names of their groups: a mean for each."),
    ] = None,
    property_: Annotated[
        Path | None,
        typer.Option(
            "--property",
            help="Pairs of words, or words, a tab and one of two labels: how well what "
            "tells them apart is remembered.",
        ),
    ] = None,
    per_position: Annotated[
        Path | None,
        typer.Option(help="A NetCDF file: the memory of each word, at each position."),
    ] = None,
    influence: Influence = False,
    output: Folder = None,
    as_json: AsJson = False,
):
    """Ask a model of your own what it remembers of a text: figure, table, artifact."""
    from state_gradients import inspection
    from state_gradients.analysis.whitening import read_shrinkage
    from state_gradients.foundation.atomic import require_writable
    from state_gradients.models.torch_weights import Names
    from state_gradients.text.reading import Reading

    names = Names(
        embedding=embedding,
        recurrent=tuple(recurrent or ()),
        nonlinearity=nonlinearity,
        above=tuple(above or ()),
    )
    reading = Reading(by_line=by_line, context=context, pad=pad, pad_id=pad_id)
    folder = _folder(output or Path(f"inspection-{model.stem}"), "inspect")
    if per_position is not None:
        require_writable(per_position.parent, "inspect (--per-position)")
    sys.path.append(str(Path.cwd()))  # where the reader's modules may stand
    by = None if shrinkage is None else _number(shrinkage)
    read_shrinkage(by, "inspect (--shrinkage)")
    if (text is None) == (inputs is None):
        what = "neither" if text is None else "both"
        raise ValueError(
            "inspect: --text must be given, or --inputs for a model that reads "
            f"numbers, received {what}."
        )
    if inputs is None:
        curves = inspection.inspect_files(
            model,
            text=text,
            vocabulary=vocabulary,
            imports=imports or (),
            names=names,
            reading=reading,
            report=_say,
            max_delay=max_delay,
            state=state,
            layer=layer,
            tolerance=tolerance,
            shrinkage=by,
            groups=groups,
            halves=property_,
            per_position=per_position,
            influence=inspection.WORDS_DRAWN if influence else None,
        )
    else:
        of_words = vocabulary or groups or property_ or per_position or influence
        if of_words or reading != Reading(context=context):
            raise ValueError(
                "inspect: --vocabulary, --by-line, --pad, --pad-id, --groups, "
                "--property, --per-position and --influence are of words, received "
                f"them with --inputs {inputs}; leave them out."
            )
        curves = inspection.inspect_inputs(
            model,
            inputs=inputs,
            imports=imports or (),
            names=names,
            context=context,
            report=_say,
            max_delay=max_delay,
            state=state,
            layer=layer,
            tolerance=tolerance,
            shrinkage=by,
        )
    paths = inspection.write(curves, folder)
    if not as_json:
        what = "text" if inputs is None else "inputs"
        typer.echo(f"{model}, {what} read as {curves.attrs['reading']}")
        if inputs is not None:
            typer.echo("memory of each feature, at some delays")
            _print(inspection.feature_table(curves), as_json, decimals=4)
        if property_ is not None:
            typer.echo(f"memory of {curves.attrs['property']}, at some delays")
            _print(inspection.narrow_property_table(curves), as_json)
    _print(inspection.table(curves), as_json, decimals=15)  # memory may be tiny
    for line in filter(None, (curves.attrs["note"], *(f"made {p}" for p in paths))):
        _say(line)


@_command
def sentence(
    model: Model,
    words: Annotated[
        str, typer.Argument(help="In quotes, as the model reads them, from its start.")
    ],
    vocabulary: VocabularyFile = None,
    imports: Imports = None,
    embedding: Embedding = None,
    recurrent: Recurrent = None,
    nonlinearity: Nonlinearity = None,
    above: Above = None,
    max_delay: Annotated[int | None, typer.Option(min=0)] = None,
    state: State = None,
    layer: Layer = 1,
    shrinkage: Shrinkage = None,
    influence: Influence = False,
    as_json: AsJson = False,
):
    """Ask a model of your own how long it holds each word of a sentence."""
    from state_gradients import inspection
    from state_gradients.analysis.whitening import read_shrinkage
    from state_gradients.models.torch_weights import Names

    sys.path.append(str(Path.cwd()))  # where the reader's modules may stand
    by = None if shrinkage is None else _number(shrinkage)
    read_shrinkage(by, "sentence (--shrinkage)")
    curves = inspection.inspect_sentence(
        model,
        words,
        vocabulary=vocabulary,
        imports=imports or (),
        names=Names(
            embedding=embedding,
            recurrent=tuple(recurrent or ()),
            nonlinearity=nonlinearity,
            above=tuple(above or ()),
        ),
        max_delay=max_delay,
        state=state,
        layer=layer,
        shrinkage=by,
        influence=influence,
        report=_say,
    )
    if as_json:
        _print(inspection.sentence_table(curves), as_json, decimals=15)
    else:
        for name in ("memory", "influence") if influence else ("memory",):
            typer.echo(
                f"{name} of each word by delay, in {curves[name].attrs['units']}"
            )
            _print(inspection.narrow_sentence_table(curves[name]), as_json)
    if curves.attrs["note"]:
        _say(curves.attrs["note"])


def _folder(path, who):
    """Return a folder for results, refused before the work where none can be kept."""
    from state_gradients.foundation.atomic import require_writable

    if path.exists() and not path.is_dir():
        raise ValueError(f"{who}: --output must be a folder, received {path}.")
    require_writable(path, f"{who} (--output)")
    return path


def _number(text):
    """Return an option as a number, or as it is: who takes it says what it must be."""
    try:
        return float(text)
    except ValueError:
        return text


@_command
def compare(
    a: Annotated[str, typer.Argument(help="An experiment or model; or A1,A2,..")],
    b: Annotated[str, typer.Argument(help="Another; several are seeds.")],
    text: Annotated[
        list[Path] | None,
        typer.Option(help="For models: words, in UTF-8; a file or folder, or several."),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="For models that read numbers: .csv, .npy, .npz or .nc."),
    ] = None,
    vocabulary: Annotated[
        list[Path] | None,
        typer.Option(help="As of `inspect`; twice where A and B have two."),
    ] = None,
    imports: Imports = None,
    by_line: ByLine = False,
    context: Context = None,
    pad: Pad = None,
    pad_id: PadId = 0,
    max_delay: Annotated[
        int | None, typer.Option(min=0, help="For models 50 by default.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Such as hidden, cell; twice where A's is not B's."),
    ] = None,
    layer: Layer = 1,
    level: Annotated[float, typer.Option(help="Of confidence.")] = 0.95,
    output: Folder = None,
    as_json: AsJson = False,
):
    """Hold two experiments, or two models on one text, against each other."""
    from state_gradients import comparison
    from state_gradients.text.reading import Reading

    sides = [[name for name in side.split(",") if name] for side in (a, b)]
    if not all(sides):
        raise ValueError(
            f"compare: A and B must name an experiment or model each, received {a!r} "
            f"and {b!r}."
        )
    stems = "-".join(Path(side[0]).stem for side in sides)
    folder = _folder(output or Path(f"comparison-{stems}"), "compare")
    reading = Reading(by_line=by_line, context=context, pad=pad, pad_id=pad_id)
    of_models = {
        "imports": imports or (),
        "states": state or (),
        "layer": layer,
        "max_delay": 50 if max_delay is None else max_delay,
        "level": level,
        "report": _say,
    }
    if text or inputs:
        sys.path.append(str(Path.cwd()))  # where the reader's modules may stand
    if text and inputs:
        raise ValueError(
            "compare: --text must be given, or --inputs for models that read numbers, "
            "received both."
        )
    if inputs and (vocabulary or reading != Reading(context=context)):
        raise ValueError(
            "compare: --vocabulary, --by-line, --pad and --pad-id are of words, "
            f"received them with --inputs {inputs}; leave them out."
        )
    if text:
        compared = comparison.compare_files(
            *sides,
            text=text,
            vocabularies=vocabulary or (),
            reading=reading,
            **of_models,
        )
    elif inputs:
        compared = comparison.compare_inputs(
            *sides, inputs=inputs, context=context, **of_models
        )
    elif vocabulary or imports or reading != Reading() or layer != 1:
        raise ValueError(
            "compare: --vocabulary, --import, --by-line, --context, --pad and --layer "
            "are of saved models, which are compared on a --text or on --inputs, "
            "received them without either."
        )
    else:
        compared = comparison.compare_experiments(
            *sides, states=state or (), max_delay=max_delay, level=level
        )
    paths = comparison.write(compared, folder)
    if not as_json:
        typer.echo(f"A: {compared.attrs['a']}\nB: {compared.attrs['b']}")
        for line in comparison.in_words(compared):
            typer.echo(line)
    rows = comparison.table if as_json else comparison.narrow_table
    _print(rows(compared), as_json, decimals=15)
    for line in filter(None, (compared.attrs["note"], *(f"made {p}" for p in paths))):
        _say(line)


@_command
def render(
    names: Annotated[list[str] | None, typer.Argument()] = None,
    experiment: str | None = None,
):
    """Run the notebooks against the artifacts into book/sections."""
    try:
        from state_gradients.paper.book import rendering
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"render: what runs notebooks must be installed, but {error.name} is not; "
            "pip install 'state-gradients[render]'."
        ) from error
    for path in rendering.render(names or None, experiment=experiment):
        _say(f"made {path}")


if __name__ == "__main__":
    app()
