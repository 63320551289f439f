"""What an inspection leaves in its folder, all or none, and how it is read back."""

from pathlib import Path

from matplotlib.figure import Figure

from state_gradients import figures
from state_gradients.foundation.atomic import replacing_all
from state_gradients.inspection.tables import property_table, table
from state_gradients.project import provenance
from state_gradients.project.artifacts import ArtifactError


def write(curves, folder):
    """Write memory.png, memory.csv and spectra.nc, all or none; return their paths.

    Of a property of words also property.png and property.csv.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    title = [curves.attrs[key] for key in ("model", "reading") if key in curves.attrs]
    named = curves.assign_attrs(experiment="\n".join(title))
    if "group" in curves.dims:  # a line for each: whitened, if that can be
        named = named.isel(normalization=-1)
    figures.plot_memory(named, ax=left)
    figures.plot_selectivity(named.drop_attrs(deep=False), ax=right)
    if "inputs" in curves.attrs:  # no words
        for ax in (left, right):
            ax.set_xlabel("delay (steps)")
    names = ["memory.png", "memory.csv", "spectra.nc"]
    if "relative_memory" in curves:
        names += ["property.png", "property.csv"]
    paths = [Path(folder, name) for name in names]
    with replacing_all(paths) as (picture, rows, data, *of_property):
        figure.savefig(picture, dpi=160)
        table(curves).to_csv(rows, index=False)
        provenance.write(curves, data)
        if of_property:
            _property_figure(curves).savefig(of_property[0], dpi=160)
            property_table(curves).to_csv(of_property[1], index=False)
    return paths


def _property_figure(curves):
    """Return the memory of a property, a panel for each group."""
    named = curves if "group" in curves.dims else curves.expand_dims(group=[""])
    n_groups = named.sizes["group"]
    figure = Figure(figsize=(5 * n_groups, 3.8), layout="constrained")
    known = [curves.attrs[key] for key in ("model", "property") if key in curves.attrs]
    title = "\n".join(known)
    panels = figure.subplots(1, n_groups, squeeze=False)[0]
    for ax, group in zip(panels, named["group"].values.tolist(), strict=True):
        one = named.sel(group=group, drop=True)
        over = f", over {group}" if group else ""
        figures.plot_property(one.assign_attrs(experiment=title + over), ax=ax)
    return figure


def read(folder):
    """Read the ``spectra.nc`` that :func:`write` wrote, and check that it is whole.

    Raises
    ------
    ArtifactError
        If it is missing or damaged.
    """
    path = Path(folder, "spectra.nc")
    try:
        return provenance.read(path)
    except (FileNotFoundError, provenance.DamagedFileError) as error:
        raise ArtifactError(
            f"{path} must be an inspection, but is missing or damaged; run "
            f"`state-gradients inspect MODEL.keras ... --output {folder}` again."
        ) from error
