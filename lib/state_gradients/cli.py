"""The command ``state-gradients``: corpora, stages, status, ledger."""

import functools
import json
from typing import Annotated

import typer

from state_gradients import artifacts, claims, config, corpora, stages, tables

app = typer.Typer(
    help="State gradients: what a recurrent network remembers of its inputs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="Experiment, as in params.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")]
EXPECTED = (
    ValueError,
    OSError,
    RuntimeError,
    FloatingPointError,
    artifacts.ArtifactError,
)


def _command(function):
    """Register a command whose foreseen errors print as one line, with status 1."""

    @app.command(function.__name__.removesuffix("_"))
    @functools.wraps(function)
    def run(*arguments, **options):
        try:
            return function(*arguments, **options)
        except EXPECTED as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            raise typer.Exit(1) from error

    return run


def _print(table, as_json):
    if as_json:
        typer.echo(table.to_json(orient="records", indent=2, force_ascii=False))
    else:
        typer.echo(table.to_string(index=False, na_rep=""))


def _say(line):
    typer.echo(line, err=True)


@_command
def corpus(name: str, as_json: AsJson = False):
    """Find or fetch a corpus, check it and print its sizes."""
    used = [config.load_experiment(e).corpus for e in config.experiment_names()]
    text = corpora.load(
        next((c for c in used if c.name == name), config.Corpus(name=name))
    )
    sizes = {split: len(ids) for split, ids in text.splits.items()}
    sizes |= {"vocabulary": len(text.vocabulary)}
    typer.echo(json.dumps(sizes) if as_json else f"{name}: {sizes}")


@_command
def train(name: Name, restart: bool = False):
    """Train, from the last checkpoint on unless --restart, and keep what is needed."""
    stages.run_train(config.load_experiment(name), resume=not restart)


@_command
def extract(name: Name):
    """Average the state gradients of a trained experiment over its text."""
    stages.run_extract(config.load_experiment(name))


@_command
def analyse(name: Name):
    """Decompose the mean gradients of an experiment."""
    stages.run_analyse(config.load_experiment(name))


@_command
def reproduce(names: list[str]):
    """Run what is missing or stale of experiments' stages, and nothing else."""
    for name in names:  # a wrong name is refused before the first one's hours of work
        config.load_experiment(name)
    for name in names:
        ran = stages.reproduce(name, report=_say)
        _say(f"{name}: {', '.join(ran) if ran else 'everything is fresh'}")


@_command
def status(
    names: Annotated[list[str] | None, typer.Argument()] = None, as_json: AsJson = False
):
    """Say of each artifact whether it is fresh, stale (and why) or missing."""
    _print(artifacts.status(names=names or None), as_json)


@_command
def ledger(as_json: AsJson = False):
    """Print a row for every published number: published, ours, verdict, why."""
    _print(tables.ledger(), as_json)


@_command
def claims_(as_json: AsJson = False):
    """Print the paper's claims with the quantity that tests each, and a verdict."""
    _print(claims.table(), as_json)


@_command
def render(
    names: Annotated[list[str] | None, typer.Argument()] = None,
    experiment: str | None = None,
):
    """Run the notebooks against the artifacts into book/sections."""
    from state_gradients import rendering

    for path in rendering.render(names or None, experiment=experiment):
        _say(f"made {path}")


if __name__ == "__main__":
    app()
