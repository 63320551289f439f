"""Half-lives of units: factors against autodiff of Keras's step, means, refusals."""

import keras
import numpy as np
import pytest
import xarray as xr
from test_tail_study import PARAMS, project  # noqa: F401
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.engine.network import read_network
from state_gradients.foundation import backends, settings
from state_gradients.models import language_model
from state_gradients.paper.language import half_lives
from state_gradients.project import artifacts

N_WORDS, UNITS, T = 11, 5, 13
CELLS = ("lstm", "gru", "mingru", "minlstm", "lru", "s6", "slstm")
STUDIED = PARAMS.replace("[tail]", "[half-lives]") + "  rnn: {model: {cell: rnn}}\n"


@pytest.fixture
def ids(rng):
    return rng.integers(N_WORDS, size=T)


def built(cell):
    config = settings.Model(
        cell=cell, units=UNITS, embedding_size=3, dropout=0.0, initial_range=0.8
    )
    return language_model.build_language_model(config, N_WORDS, seed=3)


def own_factors(model, ids):
    """What the study averages, {state: (token, unit)}."""
    network = read_network(model, dtype="float64").without_last_output()
    parts = [*half_lives.factors_of(network, ids)]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def slope(cell, x, states, n):
    """Return d state n after / d state n before of one Keras step, (after, before)."""

    def of_own(own):
        before = [*states[:n], own, *states[n + 1 :]]
        return keras.tree.flatten(cell(x, before)[1])[n]

    (jacobian,) = backends.batch_jacobians(of_own, (states[n],))
    return keras.ops.convert_to_numpy(jacobian)[0]


def steps(model, ids):
    """Yield states before and after each token but the first, and their own slopes."""
    cell = language_model.recurrent_layers(model)[0].cell
    table = model.get_layer("embedding").embeddings
    states = language_model.zero_states(model, 1)[0]
    for t, k in enumerate(ids):
        x = keras.ops.convert_to_tensor(table)[k : k + 1]
        after = keras.tree.flatten(cell(x, states)[1])
        if t > 0:
            arrays = [
                [keras.ops.convert_to_numpy(one)[0] for one in each]
                for each in (states, after)
            ]
            yield *arrays, [slope(cell, x, states, n) for n in range(len(states))]
        states = after


def by_autodiff(cell, before, after, slopes):
    """What a unit passes on to itself alone, by the states' names, from one step."""
    if cell == "lstm":
        return {"cell": np.diag(slopes[1])}
    if cell == "slstm":  # of c / n at n', and of ln n: in both n' stands beside c'
        _, _, n_before, _ = before
        _, _, n_after, _ = after
        share = n_before / n_after
        return {
            "normaliser": np.diag(slopes[2]) * share,
            "cell": np.diag(slopes[1]) * share,
        }
    (jacobian,) = slopes
    if cell == "lru":  # of each complex number a 2 x 2 block: a turn times |Lambda|
        real, imaginary = np.split(np.arange(len(jacobian)), 2)
        blocks = jacobian[
            [[real, real], [imaginary, imaginary]],
            [[real, imaginary], [real, imaginary]],
        ]
        return {"hidden": np.sqrt(np.linalg.det(np.moveaxis(blocks, -1, 0)))}
    np.testing.assert_array_equal(jacobian, np.diag(np.diag(jacobian)))
    return {"hidden": np.diag(jacobian)}


@pytest.mark.parametrize("cell", CELLS)
def test_factors_are_the_diagonal_of_a_steps_autodiff(cell, ids):
    """A GRU's without its matrix, through which a unit reaches itself as well."""
    model = built(cell)
    if cell == "gru":
        kernel = language_model.recurrent_layers(model)[0].cell.recurrent_kernel
        kernel.assign(np.zeros(kernel.shape))
    factors = own_factors(model, ids)
    expected = [by_autodiff(cell, *step) for step in steps(model, ids)]
    assert factors.keys() == expected[0].keys()
    for name, values in factors.items():
        reference = np.array([one[name] for one in expected])
        assert values.shape == reference.shape == (T - 1, len(values[0]))
        assert values.std() > 0.01  # not the same everywhere
        # Keras steps in float32, a hundred of whose roundings a step cannot pass
        np.testing.assert_allclose(values, reference, rtol=1e-5, atol=1e-6)


def test_a_grus_factor_leaves_out_what_comes_back_by_its_matrix(ids):
    model = built("gru")
    (values,) = own_factors(model, ids).values()
    cell = language_model.recurrent_layers(model)[0].cell
    kernel, recurrent, bias = (
        keras.ops.convert_to_numpy(one)[..., :UNITS]  # of z, the first
        for one in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    table = keras.ops.convert_to_numpy(model.get_layer("embedding").embeddings)
    for t, (before, _, _) in enumerate(steps(model, ids)):
        argument = table[ids[t + 1]] @ kernel + before[0] @ recurrent + bias
        np.testing.assert_allclose(values[t], 1 / (1 + np.exp(-argument)), rtol=1e-5)


def test_the_text_is_taken_in_parts(ids, monkeypatch):
    whole = own_factors(built("slstm"), ids)
    monkeypatch.setattr(half_lives, "AT_ONCE", 5)
    for name, values in own_factors(built("slstm"), ids).items():
        np.testing.assert_array_equal(values, whole[name])


def test_half_lives_are_of_geometric_means():
    factors = np.array([[0.5, 0.9, 0.0, 1.0], [0.125, 0.9, 0.5, 1.0]])
    with np.errstate(divide="ignore"):
        mean = {"hidden": np.log(factors).mean(axis=0)}
    found = half_lives._described({"trained": mean}, 2)
    np.testing.assert_allclose(found["decay"][0, 0], [0.25, 0.9, 0, 1], rtol=1e-6)
    expected = [0.5, np.log(0.5) / np.log(0.9), 0, np.inf]
    np.testing.assert_allclose(found["half_life"][0, 0], expected, rtol=1e-6)


def made(name):
    done = CliRunner().invoke(cli.app, ["reproduce", name, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    return artifacts.load(name, "half_lives")


def test_the_artifact_is_of_the_first_tokens_of_the_text(project, monkeypatch):  # noqa: F811
    (project / "params.yaml").write_text(STUDIED)
    monkeypatch.setattr(half_lives, "MOST_TOKENS", 300)
    both = made("mine")
    assert both["network"].values.tolist() == ["untrained", "trained"]
    # trained for no epoch, it is what it began with
    xr.testing.assert_equal(
        both.sel(network="untrained", drop=True), both.sel(network="trained", drop=True)
    )
    found = both.sel(network="trained", drop=True)
    assert int(found["n_tokens"]) == 299  # before the first nothing is held
    assert found["state_kind"].values.tolist() == ["cell"]
    subject = half_lives_subject("mine")
    factors = own_factors(subject.model, subject.ids[:300])["cell"]
    geometric = xr.DataArray(np.prod(factors, axis=0) ** (1 / 299), dims="unit")
    xr.testing.assert_allclose(
        found["decay"].isel(state_kind=0, drop=True).drop_attrs(),
        geometric.astype(np.float32),
        rtol=1e-5,
    )
    np.testing.assert_allclose(found["decay"] ** found["half_life"], 0.5, rtol=1e-5)
    again = CliRunner().invoke(cli.app, ["half-lives", "mine"])
    assert again.exit_code == 0, again.output


def half_lives_subject(name):
    from state_gradients.paper.language.subject import Subject

    return Subject(experiment=settings.load_experiment(name))


def test_a_cell_that_passes_nothing_on_by_itself_is_refused(project):  # noqa: F811
    (project / "params.yaml").write_text(STUDIED)
    done = CliRunner().invoke(cli.app, ["reproduce", "rnn", "--jobs", "1"])
    assert done.exit_code == 1
    assert "pass on a state of its own by a factor" in done.output
    assert not artifacts.path("rnn", "half_lives").is_file()


def test_a_text_of_one_token_is_refused(ids):
    with pytest.raises(ValueError, match=r"two tokens or more.*; received 1"):
        own_factors(built("lstm"), ids[:1])
