"""The memory of every position of a text, as a file that grows while it is read.

    memory(t, tau) = sigma_1(G_(t,tau) D),   norm(t, tau) = ||G_(t,tau) D||_F

with D the unit of the whitened embedding. A row of the file is a token of the text, and
tells of the words `delay` before it what the state that has read it still holds. What
is held in memory is a few hundred rows, however long the text.
"""

import json
from pathlib import Path

import h5netcdf
import numpy as np
from tqdm.auto import tqdm

from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation.atomic import replacing

ROWS = 1024  # of a chunk of the file
NAMES = {"norm": "norm", "largest": "memory"}  # of the engine, and in the file


def write_positions(asked, path, *, max_delay, layer=1, shrinkage=None):
    """Write what the state holds of each word, position by position.

    Parameters
    ----------
    asked : state_gradients.inspection.text_files.Asked
        A model and one text.
    path : path-like
        A NetCDF file, written whole or not at all: ``memory`` and ``norm`` (position,
        delay), float32, in state units per standard deviation of the embedding, NaN
        where the text does not reach back so far; ``id`` (position), the tokens.
    max_delay, layer, shrinkage
        Of :func:`state_gradients.inspection.model_curves.inspect_model`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If positions do not follow each other: there are several texts, or padding.
    OSError
        If the file cannot be written.
    """
    _require_one_text(asked)
    from state_gradients.engine.positions import position_blocks

    (ids,), path = asked.rows.ids, Path(path)
    whitening = fit_whitening(asked.network.table, shrinkage=shrinkage)
    blocks = position_blocks(
        asked.model,
        ids,
        max_delay=max_delay,
        factor=whitening.D,
        state=asked.state,
        layer=layer,
    )
    with (
        replacing(path) as temporary,
        h5netcdf.File(temporary, "w") as file,
        tqdm(total=len(ids), unit="token") as bar,
    ):
        for block in blocks:
            if not file.variables:
                _begin(file, block, asked, {"layer": layer, "shrinkage": shrinkage})
            _append(file, block, ids)
            bar.update(block.sizes["position"])
    return path


def _require_one_text(asked):
    what = "each position must follow the one before"
    if len(asked.rows.ids) != 1:
        raise ValueError(
            f"inspect (--per-position): {what}, in one text, received "
            f"{len(asked.rows.ids)}; leave out --by-line and --context, and give one "
            "file."
        )
    skips = asked.network.masks and not np.all(asked.rows.ids[0])
    if asked.rows.padding is not None or skips:
        raise ValueError(
            f"inspect (--per-position): {what}, received a text with ids that are "
            "padding or that the model masks; leave out --pad, or use a model without "
            "`mask_zero`."
        )


def _begin(file, block, asked, options):
    n_delays = block.sizes["delay"]
    file.dimensions = {"position": None, "delay": n_delays}
    file.create_variable("delay", ("delay",), data=block["delay"].values)
    file.create_variable("position", ("position",), np.int64, chunks=(ROWS,))
    file.create_variable("id", ("position",), np.int32, chunks=(ROWS,))
    for name, title in NAMES.items():
        variable = file.create_variable(
            title,
            ("position", "delay"),
            np.float32,
            chunks=(ROWS, n_delays),
            fillvalue=np.float32(np.nan),
        )
        for key, value in block[name].attrs.items():
            variable.attrs[key] = value
    set_apart = {key: value for key, value in options.items() if value is not None}
    file.attrs["settings"] = json.dumps({"state": asked.state} | set_apart)
    for key, value in asked.made_from.items():
        file.attrs[key] = value


def _append(file, block, ids):
    positions = block["position"].values
    rows = slice(int(positions[0]), int(positions[-1]) + 1)
    file.resize_dimension("position", rows.stop)
    file.variables["position"][rows] = positions
    file.variables["id"][rows] = ids[rows]
    for name, title in NAMES.items():
        file.variables[title][rows] = block[name].values
