"""Inputs that share a basis, against the exact chain."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from state_gradients.engine import bundles, jobs, means, shared_basis, tiles, words
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import backends

V, E, H, T = 9, 4, 12, 160
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)
LAYERS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "rnn": keras.layers.SimpleRNN,
}
IDS = np.random.default_rng(5).integers(V, size=T)


def build(*kinds, seed=0, units=H, scale=1.0):
    """A network that forgets: half of Glorot's weights in the recurrent kernel."""
    keras.utils.set_random_seed(seed)
    layers = [LAYERS[kind](units, return_sequences=True) for kind in kinds]
    model = keras.Sequential([keras.layers.Embedding(V, E), *layers])
    model.build((None, None))
    rng = np.random.default_rng(seed)
    for weights in model.weights:
        shape = weights.shape
        weights.assign(rng.normal(size=shape) * scale / np.sqrt(shape[0]))
    return model


def linear(recurrent, kernel):
    """s' = s recurrent + e kernel."""
    size, units = kernel.shape
    rnn = keras.layers.SimpleRNN(units, activation="linear", return_sequences=True)
    model = keras.Sequential([keras.layers.Embedding(V, size), rnn])
    model.build((None, None))
    rnn.set_weights([kernel, recurrent, np.zeros(units)])
    return model


def relative(ours, exact):
    """The distance of two gradients by delay, relative to the second's norm."""
    axes = tuple({"state", "embedding", "embedding_2"} & {*exact.dims})
    return np.sqrt(((ours - exact) ** 2).sum(axes) / (exact**2).sum(axes))


@double
@settings(deadline=None, max_examples=12)
@given(
    kinds=st.lists(st.sampled_from([*LAYERS]), min_size=1, max_size=3),
    units=st.integers(3, 14),
    tolerance=st.sampled_from([1e-2, 1e-3, 1e-4]),
    seed=st.integers(0, 3),
)
def test_the_mean_lies_within_ten_tolerances(kinds, units, tolerance, seed):
    model = build(*kinds, seed=seed, units=units, scale=0.7)
    options = {"max_delay": 40, "layer": len(kinds), "dtype": "float64"}
    exact = mean_state_gradients(model, IDS, **options)
    ours = mean_state_gradients(model, IDS, tolerance=tolerance, **options)
    error = relative(ours["state_gradient"], exact["state_gradient"])
    assert float(error.max()) <= 10 * tolerance
    assert ours.attrs["tolerance"] == tolerance
    # of no more inputs than there are, the root mean square is within it
    assert 0 <= ours.attrs["largest_residual"] <= np.sqrt(len(IDS)) * tolerance
    np.testing.assert_array_equal(ours["n_samples"], exact["n_samples"])


def ask(model, tolerance, **options):
    options = {"max_delay": 30, "tolerance": tolerance} | options
    return mean_state_gradients(model, IDS, **options)


ON = np.arange(V) % 3
ASKED = {
    "both states": {"state": ("cell", "hidden")},
    "second moments": {"second_moment": True},
    "blocks": {"blocks": 3, "second_moment": True},
    "windows": {"window": 45, "second_moment": True},
    "groups": {"groups": np.stack([ON < 2, ON > 0]), "second_moment": True},
    "positions": {"positions": (np.arange(T) % 5 == 0)[None]},
    "short delays": {"max_delay": 3},
    "a whole text": {"max_delay": T - 1},
}


@pytest.mark.parametrize("asked", ASKED)
def test_all_that_can_be_asked_is_near_the_exact_chain(asked):
    model = build("lstm", scale=0.8)
    exact = ask(model, None, **ASKED[asked])
    ours = ask(model, 1e-3, **ASKED[asked])
    ours = ours.drop_vars("tolerance_error")
    assert ours.sizes == exact.sizes and {*ours} == {*exact}
    for name in {*exact} - {"n_samples"}:
        error = relative(ours[name], exact[name]).where(exact["n_samples"] > 0)
        # of squares, whose error is twice that of what is squared
        assert float(error.max()) < 2 * 10 * 1e-3, name
        at_start = error.isel(delay=slice(3))  # too young for a bundle
        assert float(at_start.max()) < 1e-5, name


def rows_in_flight(model, tolerance, sources=None):
    """Carry inputs, all or some, followed over 60 tokens; return the rows by token."""
    network, _, states = means.read(model)
    request = jobs.Request(max_delay=60, state_indices=states, tolerance=tolerance)
    stretch = [np.zeros(T, int)]
    (_, job), *_ = jobs.cut(network, [IDS], stretch, None, request, length=T)
    if sources is not None:
        members = [(0,)] * len(sources)
        job = replace(job, sources=sources, ends=job.ends[sources], members=members)
    rows = []

    class Watched(bundles.Flight):
        def _see_bundles(self):
            rows.append(len(self._rows))
            super()._see_bundles()

    flight = Watched(job, bundles.sums.Sums(job))
    done = [*flight.carry()]
    carried = [k for part in done for k in range(part.start, part.stop)]
    assert carried == [*range(len(job.sources))]
    return rows


def test_less_is_carried():
    """Of inputs of some age far fewer rows are in flight than E each."""
    rows = rows_in_flight(build("lstm", scale=0.8), tolerance=1e-2)
    assert max(rows) < 0.5 * E * 61  # of the exact chain's, 61 delays in flight


@double
def test_bundles_of_old_inputs_become_one():
    """And the mean is within the tolerance."""
    model = build("lstm", scale=0.8)
    network, _, states = means.read(model, dtype="float64")
    request = jobs.Request(max_delay=T - 1, state_indices=states, tolerance=1e-3)
    stretch = [np.zeros(T, int)]
    (_, job), *_ = jobs.cut(network, [IDS], stretch, None, request, length=T)
    in_flight = []

    class Watched(bundles.Flight):
        def _see_bundles(self):
            in_flight.append([bundle.sources for bundle in self._bundles])
            super()._see_bundles()

    total = bundles.sums.Sums(job)
    flight = Watched(job, total)
    for _ in flight.carry():
        pass
    of_last = [k for sources in in_flight[-1] for k in sources]
    assert of_last == [*range(len(of_last))]  # in order, none twice
    assert len(in_flight[-1][0]) >= 2 * bundles.JOINED
    (ours,), (exact,) = total.totals(), tiles.job_sums(job)
    error = np.linalg.norm(ours - exact, axis=(-2, -1)) / np.linalg.norm(
        exact, axis=(-2, -1)
    )
    assert error.max() < 10 * 1e-3


def test_what_has_reached_its_end_is_let_go_at_a_cut():
    """Or a gradient that grows would overflow behind the last delay asked for."""
    rng = np.random.default_rng(7)
    recurrent = rng.normal(size=(H, H))
    recurrent *= 10 ** (34 / 150) / abs(np.linalg.eigvals(recurrent)).max()
    model = linear(recurrent, rng.normal(size=(E, H)))
    model.layers[0].set_weights([np.zeros((V, E))])
    ids = np.zeros(600, int)
    exact = mean_state_gradients(model, ids, max_delay=150)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        ours = mean_state_gradients(model, ids, max_delay=150, tolerance=1e-3)
    of_both = (one["state_gradient"].astype(float) for one in (ours, exact))
    assert float(relative(*of_both).max()) < 10 * 1e-3


def test_inputs_that_are_independent_for_longer_share_a_basis_later():
    """Two directions stay; what turns in twenty others halves: it is left at twelve."""
    rng = np.random.default_rng(0)
    recurrent = np.eye(22)
    recurrent[2:, 2:] = 0.5 * np.linalg.qr(rng.normal(size=(20, 20)))[0]
    model = linear(recurrent, rng.normal(size=(E, 22)))
    assert 0.5**bundles.YOUNGEST > 1e-3 > 0.5 ** (2 * bundles.YOUNGEST)
    assert max(rows_in_flight(model, tolerance=1e-3)) < 0.6 * E * 61
    exact, ours = ask(model, None), ask(model, 1e-3)
    error = relative(ours["state_gradient"], exact["state_gradient"])
    assert 0 < float(error.max()) < 10 * 1e-3


def test_an_input_far_from_others_does_not_keep_them_from_a_basis():
    """It keeps its rows, for of one input alone no basis is worth it."""
    model = build("lstm", scale=0.8)
    near = np.arange(100, T)
    alone = rows_in_flight(model, 1e-2, np.array([0]))
    assert alone[bundles.YOUNGEST + 2 * bundles.PATIENCE] == E
    with_it = rows_in_flight(model, 1e-2, np.array([0, *near]))
    assert with_it[-len(near) :] == rows_in_flight(model, 1e-2, near)


def test_without_tolerance_nothing_is_cut():
    model = build("gru", scale=0.8)
    exact, ours = ask(model, None), ask(model, 0.0)
    error = relative(ours["state_gradient"], exact["state_gradient"])
    assert float(error.max()) < 1e-5  # float32, added up in another order
    assert ours.attrs["largest_residual"] == 0
    assert float(ours["tolerance_error"].max()) < 1e-5


def test_a_network_that_forgets_nothing_keeps_its_rows():
    """Of orthogonal recurrent weights no basis is smaller, and all stays right."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    model = linear(rotation, rng.normal(size=(E, 40)))
    exact, ours = ask(model, None), ask(model, 1e-3)
    error = relative(ours["state_gradient"], exact["state_gradient"])
    assert float(error.max()) < 1e-5
    assert ours.attrs["largest_residual"] == 0


def test_what_was_cut_and_grows_is_measured_and_warned_of():
    """A direction is cut while it is small; then the others fade, and it grows."""
    rates = np.r_[np.full(7, 0.8), 1.3]
    rng = np.random.default_rng(0)
    kept = rng.normal(size=(E, 2)) @ rng.normal(size=(2, 7))
    kernel = np.c_[kept, 1e-7 * rng.normal(size=E)]
    model = linear(np.diag(rates), kernel)
    exact = ask(model, None, max_delay=40)
    with pytest.warns(RuntimeWarning, match="within ten times that of the exact chain"):
        ours = ask(model, 1e-2, max_delay=40)
    error = relative(ours["state_gradient"], exact["state_gradient"])
    assert float(error.max()) > 0.1
    assert (
        float(ours["tolerance_error"].max()) > 0.1
    )  # of other inputs, hence not as far


def test_cells_without_matrices_between_states_are_exact():
    from state_gradients.models.cells import DiagonalCell

    rnn = keras.layers.RNN(DiagonalCell(H), return_sequences=True)
    model = keras.Sequential([keras.layers.Embedding(V, E), rnn])
    model.build((None, None))
    exact, ours = ask(model, None), ask(model, 0.1)
    xr.testing.assert_allclose(
        ours["state_gradient"], exact["state_gradient"], rtol=1e-6, atol=0
    )
    assert float(ours["tolerance_error"].max()) == 0


def test_a_state_that_is_forgotten_at_once_is_zero():
    model = linear(np.zeros((H, H)), np.ones((E, H)))
    ours = ask(model, 1e-3)
    later = ours["state_gradient"].sel(delay=slice(1, None))
    assert (later == 0).all()
    assert not np.isnan(ours["tolerance_error"]).any()


def test_the_result_is_the_same_on_any_number_of_cores(monkeypatch):
    model = build("lstm", scale=0.8)
    monkeypatch.setattr(jobs, "LENGTH", 40)
    options = {"max_delay": 8, "tolerance": 1e-3, "second_moment": True}
    one = mean_state_gradients(model, IDS, **options)
    with ThreadPoolExecutor(3) as threads:
        other = mean_state_gradients(model, IDS, executor=threads, **options)
    monkeypatch.setattr(jobs, "n_cores", lambda: 1)
    alone = mean_state_gradients(model, IDS, **options)
    xr.testing.assert_identical(one, other)
    xr.testing.assert_identical(one, alone)


def test_word_types_share_a_basis_too():
    model = build("lstm", scale=0.8)
    options = {"max_delay": 30, "second_moment": True}
    exact = {
        int(mean["group"][0]): mean
        for mean in words.type_gradients(model, IDS, **options)
    }
    for mean in words.type_gradients(model, IDS, tolerance=1e-3, **options):
        of_type = exact.pop(int(mean["group"][0]))
        for name in ("state_gradient", "second_moment"):
            error = relative(mean[name], of_type[name])
            assert float(error.max()) < 2 * 10 * 1e-3, name
        xr.testing.assert_identical(mean["n_samples"], of_type["n_samples"])
    assert not exact


def test_one_in_a_hundred_inputs_goes_both_ways():
    model = build("rnn")
    network, _, states = means.read(model)
    request = jobs.Request(max_delay=3, state_indices=states, tolerance=1e-2)
    ids = np.random.default_rng(0).integers(V, size=40_000)
    stretch = [np.zeros(len(ids), int)]
    cut = jobs.cut(network, [ids], stretch, None, request, length=100)
    chosen = [bundles._chosen(job) for _, job in cut]
    n = sum(one.stop - one.start for one in chosen)
    # 400 jobs, each with probability 1 / 12 a run of 12: 400 +- 73
    assert 150 < n < 650
    assert chosen[0].stop > chosen[0].start


@pytest.mark.parametrize("tolerance", [-0.1, 1, 2, "0.1", True, np.nan, [0.1]])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    model = build("rnn")
    with pytest.raises(ValueError, match="mean_state_gradients: `tolerance` must be"):
        ask(model, tolerance)
    with pytest.raises(ValueError, match="type_gradients: `tolerance` must be"):
        words.type_gradients(model, IDS, max_delay=2, tolerance=tolerance)


def test_the_sweep_has_no_tolerance():
    with pytest.raises(ValueError, match="`tolerance` must be None where `engine`"):
        ask(build("rnn"), 1e-3, engine="sweep")


def join(finder, tangents):
    """Return the basis that tangents have of themselves, and their coefficients."""
    nothing = np.zeros((0, tangents.shape[-1]), tangents.dtype)
    return finder.join(nothing, tangents, 0)


def far(tangents, ours):
    """The distance of each input's tangents, relative to their norm, in float64."""
    tangents = tangents.astype(float)
    axes = (1, 2)
    return np.linalg.norm(ours - tangents, axis=axes) / np.linalg.norm(
        tangents, axis=axes
    )


@double
@pytest.mark.parametrize("size", [5, 16])  # the embedding in one part, and in sixteen
def test_a_basis_leaves_what_it_says(size):
    """Rows of known singular values: rank and residual, against the whole of them."""
    rng = np.random.default_rng(1)
    n_inputs, n_states = 6, 40
    u = np.linalg.qr(rng.normal(size=(n_inputs * size, 30)))[0]
    v = np.linalg.qr(rng.normal(size=(n_states, 30)))[0]
    rows = (u * 0.3 ** np.arange(30)) @ v.T
    rows = rows.reshape(n_inputs, size, n_states)
    finder = shared_basis.Finder(1e-3)
    basis, coefficients = join(finder, rows)
    # of all but the last columns exact; the rest from four random rows
    assert far(rows, coefficients @ basis).max() <= 2 * 1e-3
    assert len(basis) < 12  # 0.3^6 < 1e-3
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-6)


@double
def test_a_cut_keeps_a_nested_basis():
    """Of a basis turned and shrunk: older inputs need the first directions only."""
    rng = np.random.default_rng(1)
    n_states, shrink = 40, 0.5 ** np.arange(24)
    turned = np.linalg.qr(rng.normal(size=(n_states, n_states)))[0][:24]
    turned *= shrink[:, None]
    older = rng.normal(size=(3, 5, 16))
    younger = rng.normal(size=(4, 5, 24))
    tangents = [one @ turned[: one.shape[-1]] for one in (older, younger)]
    factor = shared_basis.lower_factor(turned)
    np.testing.assert_allclose(factor @ factor.T, turned @ turned.T, atol=1e-15)
    in_factor = [
        one @ factor[: one.shape[-1]][:, : one.shape[-1]] for one in (older, younger)
    ]
    cut, smaller = shared_basis.Finder(1e-3).cut(turned, factor, 0, in_factor, [20, 9])
    ranks = [one.shape[-1] for one in smaller]
    assert 9 < ranks[0] < 16
    assert ranks[0] <= ranks[1] == len(cut) < 16
    np.testing.assert_allclose(cut @ cut.T, np.eye(len(cut)), atol=1e-6)
    for one, exact, rank in zip(smaller, tangents, ranks, strict=True):
        assert far(exact, one @ cut[:rank]).max() <= 2e-3
    # the older ones' directions may stay as they are
    kept, (only,) = shared_basis.Finder(1e-3).cut(
        turned, factor, 16, in_factor[1:], [9]
    )
    np.testing.assert_allclose(in_factor[0] @ kept[:16], tangents[0], atol=1e-12)
    assert far(tangents[1], only @ kept).max() <= 2e-3


@double
@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200])
def test_a_factor_of_rows_of_any_size(size):
    """L^-1 W is orthonormal; but where rows are zero, or depend on those before."""
    rng = np.random.default_rng(1)
    independent = rng.normal(size=(7, 20)) * size * 0.1 ** np.arange(7)[:, None]
    dependent = independent.copy()
    dependent[4:6] = 0
    dependent[6] = dependent[1] + dependent[2]
    for rows, rank in ((independent, 7), (dependent, 4)):
        factor = shared_basis.lower_factor(rows)
        assert np.isfinite(factor).all()
        assert (np.triu(factor, 1) == 0).all()
        q = np.linalg.solve(factor, rows)[:rank]
        np.testing.assert_allclose(q @ q.T, np.eye(rank), atol=1e-9)


def test_jobs_do_not_keep_each_other_waiting():
    """They run in threads, and SciPy's linear algebra holds Python's lock."""
    rooms = Path(bundles.__file__).parent.glob("*.py")
    assert [path.name for path in rooms if "scipy.linalg" in path.read_text()] == []


def test_an_input_is_cut_when_its_age_has_about_doubled():
    phases = [bundles.phase(number) for number in range(1, 17)]
    assert phases == [1, 2, 1, 4, 1, 2, 1, 8] * 2
    first = 5  # the number of the cut at which inputs of 7 tokens join
    cut = [
        age
        for number, age in enumerate(range(7, 150, bundles.JOINED), start=first)
        if age <= bundles.reach(7, bundles.phase(number))
    ]
    assert cut == [7, 15, 23, 31, 63, 95]
    assert bundles.most_cuts(6) == 0
    assert bundles.most_cuts(50) == 5  # of others: at 7, 15, 23, 31 and 47


@double
def test_of_a_mean_the_root_mean_square_over_inputs_is_left():
    """One input of many has directions of its own: a mean needs fewer of them."""
    rng = np.random.default_rng(1)
    n_inputs, size, n_states = 24, 16, 60
    v = np.linalg.qr(rng.normal(size=(n_states, 36)))[0].T
    rows = rng.normal(size=(n_inputs, size, 12)) @ v[:12]
    rows[3] += 0.05 * rng.normal(size=(size, 24)) * 0.7 ** np.arange(24) @ v[12:]
    left = {}
    for of_each in (True, False):
        finder = shared_basis.Finder(1e-3, of_each=of_each)
        basis, coefficients = join(finder, rows)
        left[of_each] = len(basis), far(rows, coefficients @ basis), finder.residual
    (rank_each, far_each, _), (rank_mean, far_mean, residual) = left[True], left[False]
    assert rank_mean < rank_each
    assert far_each.max() <= 1.2e-3 < far_mean.max()  # as four random rows know it
    assert np.sqrt((far_mean**2).mean()) <= 1.2e-3
    assert residual == pytest.approx(far_mean.max(), rel=0.5)


def test_groups_have_each_input_within_the_tolerance():
    """What a word type's mean is of may be the one input that others outvote."""
    model = build("lstm", scale=0.8)
    options = {"max_delay": 40, "tolerance": 1e-3}
    alone = mean_state_gradients(model, IDS, **options)
    groups = np.arange(V) % 3 == np.arange(3)[:, None]
    grouped = mean_state_gradients(model, IDS, groups=groups, **options)
    assert grouped.attrs["largest_residual"] <= 1e-3 < alone.attrs["largest_residual"]


def along_their_own(n_inputs=6, size=16, n_states=60):
    """Return tangents, each component along a direction of its own, and those."""
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(n_states, size)))[0].T
    return rng.normal(size=(n_inputs, size, 1)) * directions, directions


@double
def test_parts_of_the_embedding_may_have_ranges_of_their_own():
    """A sketch must meet all."""
    rows, directions = along_their_own()
    rows *= 0.5 ** np.arange(len(directions))[:, None]
    basis, coefficients = join(shared_basis.Finder(1e-3), rows)
    assert far(rows, coefficients @ basis).max() <= 2e-3
    assert len(basis) <= len(directions)


@double
def test_a_basis_that_was_too_small_is_added_to():
    """One column was needed last, and now one for each component."""
    rows, directions = along_their_own()
    finder = shared_basis.Finder(1e-3)
    assert len(join(finder, np.ones_like(rows) * directions[0])[0]) == 1
    basis, coefficients = join(finder, rows)
    assert far(rows, coefficients @ basis).max() <= 1e-3
    assert len(basis) == len(directions)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-6)


def test_what_is_added_to_a_sketch_is_mixed_of_other_random_numbers():
    tangents = np.random.default_rng(1).normal(size=(6, 16, 200))
    finder, weights = shared_basis.Finder(1e-3), np.ones((6, 1, 1))
    first = finder._mixed(tangents, weights, 0, 32)  # two rows of each part, as are
    more = finder._mixed(tangents, weights, 32, 24)
    assert np.linalg.matrix_rank(np.concatenate([first, more])) == 56


def test_a_basis_of_vanishing_tangents_is_found():
    """1e-30 in float32, whose squares are zero."""
    rng = np.random.default_rng(1)
    rows = (rng.normal(size=(12, 4, 2)) @ rng.normal(size=(2, 20))).astype(np.float32)
    finder = shared_basis.Finder(1e-3)
    basis, coefficients = join(finder, rows * np.float32(1e-30))
    assert len(basis) == 2
    assert coefficients.dtype == np.float32
    np.testing.assert_allclose(
        coefficients @ basis, rows * 1e-30, rtol=1e-4, atol=1e-34
    )


def test_inputs_far_smaller_than_others_leave_no_more_than_the_tolerance():
    """Of norms whose squares float32 does not hold; what is denormal is nothing."""
    rng = np.random.default_rng(1)
    sizes = np.array([1, 1e-8, 1e-15, 1e-22, 1e-29, 1e-34, 1e-43])
    rows = rng.normal(size=(7, 8, 2)) @ rng.normal(size=(7, 2, 60))
    rows = (rows * sizes[:, None, None]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        finder = shared_basis.Finder(1e-3)
        basis, coefficients = join(finder, rows)
    assert len(basis) == 12  # two of each but the last
    assert far(rows, coefficients.astype(float) @ basis)[:-1].max() < 1e-3
    assert finder.residual < 1e-3


def test_the_exact_chain_of_the_inputs_that_are_checked_is_the_tiles(monkeypatch):
    """The check sees an error that is put into the bundles' sums."""
    model = build("lstm", scale=0.8)
    add = bundles.sums.Sums.add_shared

    def wrongly(self, members, ages, coefficients, history):
        add(self, members, ages, coefficients * np.float32(1.5), history)

    monkeypatch.setattr(bundles.sums.Sums, "add_shared", wrongly)
    with pytest.warns(RuntimeWarning, match="at delay"):
        ours = ask(model, 1e-3)
    assert float(ours["tolerance_error"].max()) == pytest.approx(0.5, abs=0.05)


def test_inputs_that_go_both_ways_do_not_keep_the_matrices_of_all_delays(monkeypatch):
    held = []
    at = tiles.Differentials.at

    def seen(self, t):
        found = at(self, t)
        held.append(len(self))
        return found

    monkeypatch.setattr(tiles, "TILE", bundles.TOGETHER // 4 * E * H)  # four tiles
    monkeypatch.setattr(tiles.Differentials, "at", seen)
    mean_state_gradients(build("lstm"), IDS, max_delay=100, tolerance=1e-3)
    assert max(held) == tiles.AHEAD


def test_an_error_of_one_group_is_not_hidden_by_the_others(monkeypatch):
    """Each group has an error of its own; one of which none was drawn has NaN."""
    add = bundles.sums.Sums.add_shared

    def wrongly(self, members, ages, coefficients, history):
        for k, (group,) in enumerate(members):
            wrong = np.float32(1.5 if group == 1 else 1)
            one = slice(k, k + 1)
            add(self, members[one], ages[one], coefficients[one] * wrong, history)

    monkeypatch.setattr(bundles.sums.Sums, "add_shared", wrongly)
    nobody = np.zeros(V, bool)
    groups = xr.DataArray(
        [np.arange(V) > 0, np.arange(V) == 0, nobody],
        dims=("group", "vocabulary"),
        coords={"group": ["others", "rare", "nobody"]},
    )
    assert 0 < (IDS == 0).sum() < 0.2 * T
    with pytest.warns(RuntimeWarning, match="mean of group rare is 0.5 away at delay"):
        ours = ask(build("lstm", scale=0.8), 1e-3, groups=groups)
    error = ours["tolerance_error"]
    assert error.dims == ("group", "delay")
    assert float(error.sel(group="others").max()) < 1e-3
    assert float(error.sel(group="rare").max()) == pytest.approx(0.5, abs=0.01)
    assert np.isnan(error.sel(group="nobody")).all()


def test_word_types_are_checked_together(monkeypatch):
    """Each by itself would take sums of its own, some MB for every one drawn."""
    seen, warn = [], means.warn_beyond_tolerance

    def watched(check, tolerance):
        seen.append(check)
        return warn(check, tolerance)

    monkeypatch.setattr(means, "warn_beyond_tolerance", watched)
    model = build("lstm", scale=0.8)
    of_types = words.type_gradients(model, IDS, max_delay=30, tolerance=1e-3)
    assert len(list(of_types)) == V
    for check in seen:
        assert check.n_checked.shape == (1, 31) and check.n_checked[0, 0] > 0
        assert 0 < check.difference.max() < (1e-2) ** 2 * check.exact.max()


def test_no_warning_within_the_tolerance():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        ask(build("lstm", scale=0.8), 1e-4)


def test_sums_by_token_are_those_by_delay(monkeypatch):
    """Deep bases are added up token by token, others delay by delay."""
    model = build("lstm", scale=0.8)
    monkeypatch.setattr(bundles.sums, "DEEP", 1)
    by_token = ask(model, 1e-3, second_moment=True)
    monkeypatch.setattr(bundles.sums, "DEEP", 10**6)
    by_delay = ask(model, 1e-3, second_moment=True)
    for name in ("state_gradient", "second_moment"):
        scale = np.abs(by_delay[name]).max(by_delay[name].dims[-2:])
        far = np.abs(by_token[name] - by_delay[name]) / scale
        assert far.max() < 1e-6


@pytest.fixture
def by_token(monkeypatch):
    """Bases of any rank are added token by token, or by halves."""
    monkeypatch.setattr(bundles.sums, "DEEP", 1)


def add_shared(coefficients, history):
    """What neighbouring sources add to each delay, float32: E rows, units of W."""
    n_sources = len(coefficients)
    model = build("rnn", units=history.shape[-1])
    network, _, states = means.read(model)
    request = jobs.Request(max_delay=40, state_indices=states, tolerance=1e-3)
    (_, job), *_ = jobs.cut(network, [IDS], [np.zeros(T, int)], None, request)
    total = bundles.sums.Sums(job)
    total.expect(None, n_sources)
    ages = np.arange(7 + n_sources, 7, -1)
    total.add_shared(None, ages, coefficients, [history])
    return total.totals()[0][0, 0]


@pytest.mark.parametrize("n_tokens", [3, 4, 6, 8, 12])
@pytest.mark.parametrize("fade", [1.0, 0.9, 0.05])
@pytest.mark.usefixtures("by_token")
def test_halves_add_up_to_the_products(monkeypatch, n_tokens, fade):
    """At each delay, however small it is: where sizes differ much, no halves are added.

    With a fade of 0.05 a token, halves would leave the rounding of what is largest,
    many times what stands at the later delays.
    """
    rng = np.random.default_rng(1)
    fades = fade ** np.arange(n_tokens)[:, None, None]
    history = rng.normal(size=(n_tokens, 32, 20)) * fades
    coefficients = rng.normal(size=(n_tokens, E, 32)) * fades[::-1]  # the oldest first
    history, coefficients = history.astype("float32"), coefficients.astype("float32")
    exact = np.zeros((41, E, 20))
    for t, basis in enumerate(history.astype(float)):
        for k, one in enumerate(coefficients.astype(float)):
            exact[7 + n_tokens - k + t] += one @ basis
    ours = add_shared(coefficients, history)
    size = np.linalg.norm(exact, axis=(1, 2))
    there = size > 0
    assert there.sum() == 2 * n_tokens - 1 and not ours[~there].any()
    far = np.linalg.norm(ours - exact, axis=(1, 2))[there] / size[there]
    assert far.max() < 2e-6
    monkeypatch.setattr(bundles.sums, "ROUNDING", 0)
    by_products = add_shared(coefficients, history)
    halved = n_tokens % 2 == 0 and fade > 0.5
    assert (ours != by_products).any() == halved


@pytest.mark.usefixtures("by_token")
def test_halves_are_not_added_where_norms_hide_what_is_small(monkeypatch):
    """Columns of C where W has nothing, rows of W where C has nothing."""
    rng = np.random.default_rng(2)
    fades = 0.1 ** np.arange(8)[:, None, None]
    history, coefficients = rng.normal(size=(8, 24, 20)), rng.normal(size=(8, E, 24))
    history[:, :8] *= fades
    coefficients[..., :8] *= fades[::-1]
    history[:, 8:16] = coefficients[..., 16:] = 0
    history, coefficients = history.astype("float32"), coefficients.astype("float32")
    ours = add_shared(coefficients, history)
    monkeypatch.setattr(bundles.sums, "ROUNDING", 0)
    np.testing.assert_array_equal(ours, add_shared(coefficients, history))


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, 0), (1, 1e-30), (1e-18, 1e18), (1e-30, 1e30), (1, np.nan), (1, np.inf)],
)
@pytest.mark.usefixtures("by_token")
def test_sizes_out_of_range_add_up_in_silence(left, right):
    """As the products do: squares of such sizes are no numbers of float32."""
    coefficients = np.full((8, E, 24), left, "float32")
    history = np.full((8, 24, 20), right, "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        ours = add_shared(coefficients, history)
    n_added = np.convolve(np.ones(8), np.ones(8))
    np.testing.assert_allclose(ours[8:23, 0, 0], n_added * 24 * left * right, rtol=1e-6)


@pytest.mark.usefixtures("by_token")
def test_the_measured_error_sees_the_sums(monkeypatch):
    """Of a mean over all inputs, those that go both ways are added as all are."""
    add = bundles.sums._add_halves

    def wrongly(total, left, right):
        add(total, 1.5 * left, right)

    model = build("lstm", scale=0.8)
    ask(model, 1e-3)
    monkeypatch.setattr(bundles.sums, "_add_halves", wrongly)
    with pytest.warns(RuntimeWarning, match="tolerance"):
        ask(model, 1e-3)


def test_tiles_and_bundles_agree_for_sources_apart():
    """Sources that are not neighbours are added one by one."""
    model = build("lstm", scale=0.8)
    network, _, states = means.read(model)
    request = jobs.Request(max_delay=30, state_indices=states, tolerance=1e-3)
    stretch = [np.zeros(T, int)]
    (_, job), *_ = jobs.cut(network, [IDS], stretch, None, request, length=T)
    apart = np.flatnonzero(np.arange(T) % 7 < 2)
    members = [(0,)] * len(apart)
    job = replace(job, sources=apart, ends=job.ends[apart], members=members)
    (ours,), check = bundles.job_sums(job)
    (exact,) = tiles.job_sums(job)
    scale = np.sqrt((exact**2).sum(axis=(-2, -1), keepdims=True))
    assert np.sqrt((((ours - exact) / scale) ** 2).sum(axis=(-2, -1))).max() < 1e-2
    assert check.residual <= 1e-3
