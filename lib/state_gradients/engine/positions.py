"""The size of every single state gradient of a text, position by position.

    ||G_{t,tau} D||_F  and  sigma_1(G_{t,tau} D),   G_{t,tau} = ds_t / de_{t-tau}

of which a mean gradient knows nothing. The chain is that of
:mod:`state_gradients.engine.tiles`, but begins with D^T B instead of B, so that its
tangents are rows of (G D)^T; in the place of sums it fills a table of norms.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from state_gradients.engine import jobs, means, precision, tiles
from state_gradients.engine.formulas import Differential
from state_gradients.engine.texts import read_texts
from state_gradients.foundation import checks
from state_gradients.foundation.labels import about

if TYPE_CHECKING:
    import keras

WHO = "position_memory"
MEANING = {
    "norm": (
        "size of the state gradient of one position: its Frobenius norm",
        "state unit / unit of the input",
        "sqrt(sum sigma_i(G_(t, delay) D)^2)",
    ),
    "largest": (
        "memory of one position: its largest singular value",
        "state unit / unit of the input",
        "sigma_1(G_(t, delay) D)",
    ),
}


@checks.in_own_name
def position_memory(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    max_delay: int,
    factor: ArrayLike | None = None,
    sample: ArrayLike = (),
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    dtype: Literal["float32", "float64"] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Measure the state gradient of every position of a text at every delay.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,)
        One text, from the zero state.
    max_delay : int
    factor : array_like of shape (embedding, embedding), optional
        D: what one unit of the input is, in embedding units, such as the `D` of a
        :class:`state_gradients.analysis.whitening.Whitening`. By default the identity.
    sample : array_like of int
        Positions whose largest singular values are taken as well: one costs some
        hundred times as much as a norm.
    state, layer, dtype
        Of :func:`state_gradients.engine.means.mean_state_gradients`.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    xarray.Dataset
        ``norm`` ([state_kind], position, delay), float32, state units per unit of the
        input; NaN where the text does not reach back so far. ``largest``
        ([state_kind], sampled, delay), sigma_1 at the positions ``sampled``.

    Raises
    ------
    ValueError
        If an argument does not fit the model.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> import state_gradients as sg
    >>> from state_gradients.engine.positions import position_memory
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 2)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> sizes = position_memory(model, [3, 1, 4], max_delay=1, sample=[2])
    >>> sizes["norm"].values.round(3)  # the norm of the identity is sqrt(2)
    array([[1.414,   nan],
           [1.414, 0.707],
           [1.414, 0.707]], dtype=float32)
    >>> sizes["largest"].values.round(3)
    array([[1. , 0.5]], dtype=float32)
    """
    asked = _Asked(model, ids, max_delay, factor, state, layer, dtype)
    sampled = _checked_sample(sample, asked.n_tokens)
    norm = asked.table(asked.n_tokens)
    largest = asked.table(len(sampled))
    for _, tables in asked.tables(sampled, progress):
        tables.move_into(norm, largest)
    return asked.dataset(norm, largest, np.arange(asked.n_tokens), sampled)


def position_blocks(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    max_delay: int,
    factor: ArrayLike | None = None,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    dtype: Literal["float32", "float64"] | None = None,
    progress: bool = False,
) -> Iterator[xr.Dataset]:
    """Measure a text of any length position by position, in memory that stays the same.

    Parameters
    ----------
    model, ids, max_delay, factor, state, layer, dtype, progress
        Of :func:`position_memory`.

    Yields
    ------
    xarray.Dataset
        The next positions: ``norm`` and ``largest`` ([state_kind], position, delay) as
        those of :func:`position_memory`, ``largest`` at every position.

    Raises
    ------
    ValueError
        If an argument does not fit the model.
    """
    asked = _Asked(model, ids, max_delay, factor, state, layer, dtype)
    everywhere = np.arange(asked.n_tokens)
    start, tables_of_both = 0, [asked.table(0), asked.table(0)]
    for next_first, tables in asked.tables(everywhere, progress):
        reached = min(next_first + max_delay, asked.n_tokens)
        tables_of_both = [
            np.concatenate([one, asked.table(reached - start - one.shape[1])], axis=1)
            for one in tables_of_both
        ]
        tables.move_into(*tables_of_both, start=start)
        done = next_first - start
        whole = [one[:, :done] for one in tables_of_both]
        yield asked.dataset(*whole, everywhere[start:next_first])
        start, tables_of_both = next_first, [one[:, done:] for one in tables_of_both]


class _Asked:
    """What is measured, checked against the model before work begins."""

    def __init__(self, model, ids, max_delay, factor, state, layer, dtype):
        max_delay = checks.whole_number(max_delay, WHO, "max_delay", least=0)
        network, self.kinds, state_indices = means.read(
            model, state=state, layer=layer, dtype=dtype
        )
        if np.ndim(ids) != 1:
            raise ValueError(
                f"{WHO}: `ids` must be one text of shape (time,), received shape "
                f"{np.shape(ids)}; call it for each text on its own."
            )
        self._dtype = dtype
        self._texts = read_texts(ids, network, max_delay=max_delay)
        self._network = network
        self._cell = _counted_in_units(network, factor)
        self._request = jobs.Request(max_delay=max_delay, state_indices=state_indices)
        self._keeps_kinds = isinstance(state, tuple)
        self.n_tokens = self._texts.n_tokens

    def table(self, n_positions):
        """Return a table (kind, position, delay) of NaN."""
        shape = len(self.kinds), n_positions, self._request.max_delay + 1
        return np.full(shape, np.nan, np.float32)

    def tables(self, sampled, progress):
        """Yield for each job the place of the first input behind it, and its tables."""
        cell, texts = self._cell, self._texts

        def tables_of(job):
            return _tables_of(replace(job, cells=(cell, *job.cells[1:])), sampled)

        cut = jobs.cut(self._network, texts.ids, texts.stretches, None, self._request)
        cut = precision.checked(cut, self._dtype)
        bar = tqdm(total=self.n_tokens, unit="token", disable=not progress)
        for first, job, tables in jobs.in_threads(numbered(cut), tables_of):
            bar.update(len(job.sources))
            yield first + len(job.sources), tables
        bar.close()

    def dataset(self, norm, largest, positions, sampled=None):
        """Return tables with labels; `largest` is of all positions by default."""
        of_largest = "position" if sampled is None else "sampled"
        coords = {
            "state_kind": list(self.kinds),
            "position": positions,
            "delay": np.arange(self._request.max_delay + 1),
        }
        result = xr.Dataset(
            {
                "norm": (("state_kind", "position", "delay"), norm),
                "largest": (("state_kind", of_largest, "delay"), largest),
            },
            coords=coords if sampled is None else coords | {"sampled": sampled},
        )
        missing = "the text does not reach back so far"
        for name in MEANING:
            result[name].attrs = about(name, meaning=MEANING) | {"missing": missing}
        if self._keeps_kinds:
            return result
        return result.isel(state_kind=0, drop=True)


def _checked_sample(sample, n_tokens):
    """Return the sampled positions in order, each once."""
    sampled = np.unique(checks.as_array(sample, WHO, "sample").astype(int))
    if len(sampled) and not 0 <= sampled[0] <= sampled[-1] < n_tokens:
        raise ValueError(
            f"{WHO}: `sample` must hold positions in 0..{n_tokens - 1}, received "
            f"{sampled[0]}..{sampled[-1]}."
        )
    return sampled


def _counted_in_units(network, factor):
    """Return the lowest cell, its input counted in the units of `factor`."""
    size = network.table.shape[1]
    factor = checks.as_array(np.eye(size) if factor is None else factor, WHO, "factor")
    if factor.shape != (size, size):
        raise ValueError(
            f"{WHO}: `factor` must have shape (embedding, embedding) = {(size, size)}, "
            f"received {factor.shape}."
        )
    return InUnits(network.cells[0], factor.astype(network.table.dtype))


class InUnits:
    """A cell whose input is x = D g + constant: tangents begin as D^T B.

    `factor` D may have any number of columns, the steps whose tangents are carried.
    """

    def __init__(self, cell, factor):
        self._cell = cell
        self._factor = factor
        self.sizes = cell.sizes
        self.names = cell.names
        self.output = cell.output

    def differentials(self, x, states):
        """Return a function a token that makes its differential."""
        makers = self._cell.differentials(x, states)
        return [partial(self._differential, make) for make in makers]

    def _differential(self, make):
        of_cell = make()

        def inputs():
            return [self._factor.T @ matrix for matrix in of_cell.inputs]

        return Differential(inputs, of_cell.dense, of_cell.diagonal)


class _Tables:
    """The norms of one job's tangents by (kind, source, delay): :class:`sums.Sums`.

    It takes what those sums take; the group of each source is its place in the text.
    """

    def __init__(self, job, sampled):
        n_kinds = len(job.request.state_indices)
        self.first = job.members[0][0]
        shape = n_kinds, len(job.sources), job.request.max_delay + 1
        self.squared = np.full(shape, np.nan)
        self.sampled = sampled
        self.eigenvalues = {}  # (kind, index in the sample, delay): the largest

    def expect(self, members, n_sources):
        """Make no room: the table is there."""

    def add(self, kind, members, delays, tangents):
        """Take tangents (source, embedding, units) that have reached their delays."""
        sources = np.concatenate(members)
        rows = tangents.reshape(len(tangents), -1)
        squared = np.einsum("sk,sk->s", rows, rows)
        self.squared[kind, sources - self.first, delays] = squared
        if not len(self.sampled):
            return
        positions = sources + delays  # all one and the same: the token that was read
        index = np.searchsorted(self.sampled, positions[0])
        if index < len(self.sampled) and self.sampled[index] == positions[0]:
            gram = tangents @ tangents.swapaxes(1, 2)
            largest = np.linalg.eigvalsh(gram)[:, -1]
            for delay, one in zip(delays, largest, strict=True):
                self.eigenvalues[kind, index, delay] = one

    def move_into(self, norm, largest, *, start=0):
        """Write roots into `norm` and `largest`, (kind, position or sampled, delay).

        These begin with the position, and the place in the sample, `start`.
        """
        n_positions = norm.shape[1]
        for delay in range(norm.shape[2]):
            first = self.first + delay - start
            n = min(self.squared.shape[1], n_positions - first)
            if n > 0:
                norm[:, first : first + n, delay] = np.sqrt(self.squared[:, :n, delay])
        for (kind, index, delay), eigenvalue in self.eigenvalues.items():
            largest[kind, index - start, delay] = np.sqrt(max(eigenvalue, 0))


def _tables_of(job, sampled):
    """Carry a job's tangents, and return the tables of their norms."""
    tables = _Tables(job, sampled)
    for _ in tiles.carry(job, tables):
        pass
    return tables


def numbered(cut):
    """Yield ``(first, Job)``, the place of a job's first input in the text.

    Each input is a group of its own, whose number is its place.
    """
    first = 0
    for _, job in cut:
        n = len(job.sources)
        yield first, replace(job, members=[(first + k,) for k in range(n)])
        first += n
