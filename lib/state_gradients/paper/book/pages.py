"""What every page needs: texts for its prose, tables, and what has been run.

A page is given one experiment. Its *twin* is the same network with its initial random
weights, the experiment ``NAME-untrained``.
"""

from pathlib import Path

import xarray as xr
from IPython.display import Markdown
from myst_nb import glue

from state_gradients.foundation import settings
from state_gradients.project import artifacts

DASH = "\N{EN DASH}"  # stands in tables for what is not known


def say(**texts):
    """Keep texts for the prose of a page, where ``{glue:text}`name:s``` shows them.

    Parameters
    ----------
    **texts : object
        By name; what is no string is shown as ``str`` gives it.
    """
    for name, text in texts.items():
        glue(name, str(text), display=False)


def table(frame, uuid, *, index=False, wide=False):
    """Return a table to show: escaped, with the same ids at every run.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``<eos>`` in its cells is text, and no tag of HTML.
    uuid : str
        An id that no other table of the page has.
    index : bool
        Whether the rows' labels are shown.
    wide : bool
        Whether it is wider than a column of text, about 700 pixels.

    Returns
    -------
    pandas.io.formats.style.Styler
        Of the classes ``dataframe`` and, if it is, ``wide``, which the book's style
        sheet knows.
    """
    style = frame.style.format(escape="html").format_index(escape="html", axis=1)
    style = style.format_index(escape="html") if index else style.hide(axis="index")
    classes = "dataframe wide" if wide else "dataframe"
    return style.set_uuid(uuid).set_table_attributes(f'class="{classes}"')


def has_run(name, kind="spectra", *, root=None):
    """Return whether an artifact of an experiment is there."""
    return artifacts.path(name, kind, root=root).is_file()


def that_ran(members, kind):
    """Return the artifacts of one kind that are there, a dict by label.

    Parameters
    ----------
    members : dict of str to str
        Experiments by what a figure calls them.
    kind : str
    """
    return {
        label: artifacts.load(name, kind)
        for label, name in members.items()
        if has_run(name, kind)
    }


def runs_of(name):
    """Return an experiment and, where they are defined, its seeds 1 and 3, a tuple."""
    known = settings.experiment_names()
    others = (f"{name}-seed1", f"{name}-seed3")
    return (name, *(other for other in others if other in known))


def as_runs(names):
    """Return one experiment's name, or those of several runs, as a tuple."""
    return (names,) if isinstance(names, str) else tuple(names)


def missing(members):
    """Say which experiments of a comparison have not been run; if all have, nothing.

    Parameters
    ----------
    members : dict of str to (str or tuple of str, str)
        Experiment, or several runs of one, and state by what a figure calls them.

    Returns
    -------
    IPython.display.Markdown or None
    """
    names = dict.fromkeys(run for runs, _ in members.values() for run in as_runs(runs))
    lines = [f"- `state-gradients reproduce {x}`" for x in names if not has_run(x)]
    return Markdown("\n".join(["Not run yet:", "", *lines])) if lines else None


def twin_of(name, *, root=None):
    """Return the name of an experiment's untrained twin, None if it has not been run.

    Parameters
    ----------
    name : str
    root : path-like, optional
        The project's root; found from the working folder by default.
    """
    twin = f"{name}-untrained"
    known = twin in settings.experiment_names(root)
    return twin if known and has_run(twin, root=root) else None


def about_twin(name, *, root=None):
    """Say that an experiment has no untrained twin, and how to get one; else nothing.

    Returns
    -------
    IPython.display.Markdown or None
    """
    if twin_of(name, root=root):
        return None
    twin = f"{name}-untrained"
    define = (
        ""
        if twin in settings.experiment_names(root)
        else f"define `{twin}` in `params.local.yaml`, as `{name}` with "
        "`training: {max_epochs: 0}`, then "
    )
    return Markdown(
        f"**`{name}` has no untrained twin here.** Figures show the trained network "
        "alone, and what the text says of its twin stays open. To compare: "
        f"{define}run `state-gradients reproduce {twin}`."
    )


def about_intervals(name, *, root=None):
    """Say that an experiment has no intervals, and how to get them; else nothing.

    Returns
    -------
    IPython.display.Markdown or None
    """
    if has_run(name, "intervals", root=root):
        return None
    return Markdown(
        f"**`{name}` has no intervals.** Figures have no bands, and numbers no "
        "brackets. To have them, set `gradients: {blocks: 64}` and run "
        f"`state-gradients reproduce {name}`."
    )


def about_controls(name, *, root=None):
    """Say that an experiment has no control texts, and how to get them; else nothing.

    Returns
    -------
    IPython.display.Markdown or None
    """
    if has_run(name, "controls", root=root):
        return None
    return Markdown(
        f"**`{name}` has no control texts.** There is no figure here, and the text's "
        "numbers are missing. To have them, set `gradients: {controls: true}` and run "
        f"`state-gradients reproduce {name}`."
    )


def read_result(path, command):
    """Read a Dataset that a script of the book has written.

    Parameters
    ----------
    path : path-like
        From the project's root, or a full path.
    command : str
        What makes the file.

    Raises
    ------
    FileNotFoundError
        If it has not been made.
    """
    path = settings.project_root() / Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} must exist, but is missing; run `{command}`.")
    return xr.load_dataset(path, engine="netcdf4")
