"""Draws book/_static/memory.png, the figure of README.md, from two artifacts.

Run it at the project's root: ``.venv/bin/python book/memory.py [EXPERIMENT]``.
"""

import sys

import matplotlib

matplotlib.use("Agg")

import xarray as xr

from state_gradients import figures
from state_gradients.foundation import settings
from state_gradients.project import artifacts

name = sys.argv[1] if len(sys.argv) > 1 else "ptb-lstm-256"
curves = ["memory", "selectivity", "selectivity_5"]
lines = {"trained": name, "random weights": f"{name}-untrained"}
spectra = [artifacts.load(line, "spectra")[curves] for line in lines.values()]
data = xr.concat(spectra, xr.Variable("experiment", list(lines)))
data = data.isel(group=0, state_kind=-1, normalization=-1).reset_coords(drop=True)
figures.set_theme()
upper, _ = figures.plot_memory_and_selectivity(data)
upper.set_title(name, loc="left")
picture = settings.project_root() / "book" / "_static" / "memory.png"
upper.figure.savefig(picture, dpi=144)
