"""What one step of the embedding does to the state, at every position of a text.

    r_{t,tau} = G_{t,tau} d_tau,   G_{t,tau} = ds_t / de_{t-tau}

for a step d_tau of each of some delays: the lengths norm(r) of all positions, and the
mean of r over each stretch of the text. The chain is that of
:mod:`state_gradients.engine.tiles`, but begins with d^T B instead of B, so that an
input sends one tangent a step, and not one a component of the embedding.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from state_gradients.engine import jobs, means, tiles
from state_gradients.engine.positions import InUnits, numbered
from state_gradients.engine.texts import read_texts
from state_gradients.foundation import checks
from state_gradients.foundation.labels import about

if TYPE_CHECKING:
    import keras

WHO = "step_responses"
MEANING = {
    "length": (
        "length of the response of one position",
        "state unit per step",
        "|G_(t, delay) d_delay|, t = input + delay",
    ),
    "response": (
        "mean response of a stretch of the text",
        "state unit per step",
        "mean of G_(t, delay) d_delay",
    ),
    "n_samples": ("positions averaged over", "1", "number of t of the block"),
    "block_of": ("stretch of the text in which an input stands", "1", "index"),
}


@checks.in_own_name
def step_responses(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    delays: ArrayLike,
    steps: ArrayLike,
    blocks: int = 1,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    window: int | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Measure what a step of the embedding does to the state, at every position.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,)
        One text, from the zero state.
    delays : array_like of int, shape (delay,)
        In rising order. The fewer there are, the less is carried.
    steps : array_like of shape ([state_kind], delay, embedding)
        d, in embedding units: of each delay, and of each state where `state` is a
        tuple. With d = D v it is the step v of the whitened embedding.
    blocks : int
        Into how many stretches the inputs are cut, as `mean_state_gradients` does.
    state, layer, window, dtype
        Of :func:`state_gradients.engine.means.mean_state_gradients`.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    xarray.Dataset
        ``length`` ([state_kind], input, delay), float32, state units per step; NaN
        where the text, or the window, ends before the delay. ``response`` (block,
        [state_kind], delay, state), float64 means over the inputs of a block, NaN where
        there are none, ``n_samples`` (block, delay), and ``block_of`` (input).

    Raises
    ------
    ValueError
        If an argument does not fit the model.
    FloatingPointError
        If a response is not finite.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> from state_gradients.engine.responses import step_responses
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 2)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> steps = [[3, 4], [0, 1]]  # of length 5 at delay 0, and 1 at delay 1
    >>> responses = step_responses(model, [3, 1, 4], delays=[0, 1], steps=steps)
    >>> responses["length"].values.round(3)
    array([[5. , 0.5],
           [5. , 0.5],
           [5. , nan]], dtype=float32)
    >>> responses["response"].sel(block=0).values.round(3)
    array([[3. , 4. ],
           [0. , 0.5]])
    """
    delays = _checked_delays(delays)
    max_delay, window = means.read_delays(delays[-1], window)
    network, kinds, state_indices = means.read(
        model, state=state, layer=layer, dtype=dtype
    )
    if np.ndim(ids) != 1:
        raise ValueError(
            f"{WHO}: `ids` must be one text of shape (time,), received shape "
            f"{np.shape(ids)}; call it for each text on its own."
        )
    shape = len(kinds), len(delays), network.table.shape[1]
    steps = _checked_steps(steps, shape, is_tuple=isinstance(state, tuple))
    texts = read_texts(ids, network, max_delay=max_delay, window=window, blocks=blocks)
    block_of = texts.stretches[0][:]
    request = jobs.Request(
        max_delay=max_delay, state_indices=state_indices, window=window
    )
    factor = steps.reshape(-1, shape[-1]).T.astype(network.table.dtype)
    cells = (InUnits(network.cells[0], factor), *network.cells[1:])
    n_units = network.cells[-1].sizes[state_indices[0]]
    length = np.full((len(kinds), texts.n_tokens, len(delays)), np.nan, np.float32)
    total = np.zeros((block_of[-1] + 1, *shape[:2], n_units))
    n_samples = np.zeros((len(total), len(delays)), int)

    def responses_of(job):
        responses = _Responses(job, delays, n_units)
        job = replace(job, cells=cells, n_steps=factor.shape[1])
        for _ in tiles.carry(job, responses):
            pass
        return responses

    cut = jobs.cut(network, texts.ids, texts.stretches, None, request)
    bar = tqdm(total=texts.n_tokens, unit="token", disable=not progress)
    for first, job, responses in jobs.in_threads(numbered(cut), responses_of):
        bar.update(len(job.sources))
        length[:, first : first + len(job.sources)] = responses.length
        total[block_of[first]] += responses.total
        n_samples[block_of[first]] += (~np.isnan(responses.length[0])).sum(axis=0)
    bar.close()
    if not np.isfinite(total).all():
        raise FloatingPointError(
            f"{WHO}: the responses must be finite; the model's weights or states are "
            "not, or its gradients overflow."
        )
    with np.errstate(invalid="ignore"):  # a block without samples has no mean
        total /= n_samples[:, None, :, None]
    variables = {
        "length": (("state_kind", "input", "delay"), length),
        "response": (("block", "state_kind", "delay", "state"), total),
        "n_samples": (("block", "delay"), n_samples),
        "block_of": ("input", block_of),
    }
    result = xr.Dataset(variables, {"state_kind": list(kinds), "delay": delays})
    for name in MEANING:
        result[name].attrs = about(name, meaning=MEANING)
    result["length"].attrs["missing"] = "the text, or the window, ends before the delay"
    return result if isinstance(state, tuple) else result.isel(state_kind=0, drop=True)


def _checked_delays(delays):
    """Return the delays as an array, or refuse them."""
    delays = checks.as_array(delays, WHO, "delays")
    are_whole = delays.dtype.kind in "iu" and delays.ndim == 1 and delays.size > 0
    if not are_whole or delays[0] < 0 or (np.diff(delays) <= 0).any():
        raise ValueError(
            f"{WHO}: `delays` must be whole numbers of at least 0 in rising order, "
            f"received {checks.short(delays.tolist())}."
        )
    return delays


def _checked_steps(steps, shape, *, is_tuple):
    """Return the steps as an array (state_kind, delay, embedding)."""
    steps = checks.real(checks.as_array(steps, WHO, "steps"), WHO, "steps")
    wanted = shape if is_tuple else shape[1:]
    if steps.shape != wanted or not np.isfinite(steps).all():
        axes = "(state_kind, delay, embedding)" if is_tuple else "(delay, embedding)"
        raise ValueError(
            f"{WHO}: `steps` must be finite and have shape {axes} = {wanted}, received "
            f"shape {steps.shape}; give a step for each of the `delays`."
        )
    return steps.reshape(shape)


class _Responses:
    """The responses of one job's inputs; it takes what :class:`sums.Sums` takes.

    The group of each source is its place in the text.
    """

    def __init__(self, job, delays, n_units):
        self._first = job.members[0][0]
        self._delays = delays
        n_kinds = len(job.request.state_indices)
        self.length = np.full((n_kinds, len(job.sources), len(delays)), np.nan)
        self.total = np.zeros((n_kinds, len(delays), n_units))

    def expect(self, members, n_sources):
        """Make no room: the tables are there."""

    def add(self, kind, members, delays, tangents):
        """Take tangents (source, step, units) that have reached their delays.

        No two sources have one delay, for they are followed by the same token.
        """
        reached, which = np.nonzero(np.equal.outer(delays, self._delays))
        step = kind * len(self._delays) + which
        responses = tangents[reached, step].astype(np.float64)  # (response, units)
        sources = np.concatenate(members)[reached] - self._first
        self.length[kind, sources, which] = np.linalg.norm(responses, axis=-1)
        self.total[kind, which] += responses
