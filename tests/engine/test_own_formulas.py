"""Our cells in the engine beside what the general tests ask of every cell."""

import keras
import numpy as np
import pytest

from state_gradients import inspection
from state_gradients.engine import formulas, jobs, means, network, own_formulas, readers
from state_gradients.foundation import settings
from state_gradients.models import cells, language_model

V, E, H, T = 9, 3, 4, 12


def model_of(cell, rng):
    """A small language model whose weights are large enough that every gate curves."""
    config = settings.Model(
        cell=cell, units=H, recurrent_units=5, embedding_size=E, dropout=0.0
    )
    model = language_model.build_language_model(config, V, seed=1)
    for layer in (model.layers[1], *language_model.recurrent_layers(model)):
        for weight in layer.weights:
            value = keras.ops.convert_to_numpy(weight)
            weight.assign(value + 0.6 * rng.normal(size=value.shape))
    return model


def mean(model, ids, **options):
    return means.mean_state_gradients(model, ids, max_delay=3, **options)


@pytest.mark.parametrize("cell", ["lru", "s6"])
@pytest.mark.parametrize("engine", jobs.ENGINES)
def test_the_state_is_carried_alone_unless_its_output_is_asked_for(
    cell, engine, rng, monkeypatch
):
    model, ids = model_of(cell, rng), rng.integers(V, size=T)
    with_output = readers.ClosedForm.without_output
    alone = mean(model, ids, engine=engine)
    monkeypatch.setattr(readers.ClosedForm, "without_output", lambda self: self)
    beside = mean(model, ids, engine=engine)
    # the same float32 operations
    np.testing.assert_allclose(
        alone["state_gradient"], beside["state_gradient"], rtol=1e-6, atol=1e-7
    )
    whole, *_ = means.read(model)
    monkeypatch.setattr(readers.ClosedForm, "without_output", with_output)
    (trimmed,) = means.read(model)[0].cells
    assert whole.cells[0].names == ("hidden", "output")
    assert (trimmed.names, trimmed.sizes) == (("hidden",), whole.cells[0].sizes[:1])
    asked, *_ = means.read(model, state="output")
    assert asked.cells[0].names == ("hidden", "output")


def test_no_matrix_is_made_for_a_diagonal(rng):
    for cell in ("mingru", "minlstm", "lru", "s6"):
        (read,) = means.read(model_of(cell, rng))[0].cells
        x = rng.normal(size=(1, E)).astype("float32")
        states = [np.zeros((1, n), "float32") for n in read.sizes]
        (make,) = read.differentials(x, states)
        assert not make().dense
        ((*terms,),) = make().diagonal
        assert [term.turned for term in terms] == [False] + [True] * (cell == "lru")


@pytest.mark.parametrize("cell", ["lru", "s6"])
def test_states_of_two_sizes_are_refused_together(cell, rng):
    with pytest.raises(ValueError, match="must have one size"):
        mean(model_of(cell, rng), [1, 2, 3, 4, 5], state=("hidden", "output"))


def test_an_lrus_memory_decays_as_its_eigenvalues(rng):
    """|G_tau| of one complex number is |Lambda|^tau of |gamma B|, at every position."""
    model, ids = model_of("lru", rng), rng.integers(V, size=T)
    layer = language_model.recurrent_layers(model)[0]
    w = {v.name: keras.ops.convert_to_numpy(v) for v in layer.weights}
    gradient = mean(model, ids)["state_gradient"].values  # (delay, 2 state, embedding)
    real, imaginary = np.split(gradient, 2, axis=1)
    size = np.exp(-np.exp(w["nu_log"]))
    lengths = np.sqrt((real**2 + imaginary**2).sum(axis=2))
    decayed = lengths[0] * size ** np.arange(4)[:, None]
    np.testing.assert_allclose(lengths, decayed, rtol=1e-5)


def test_a_normalisers_state_begins_with_nothing_and_is_the_logarithm_of_the_sum(rng):
    model, ids = model_of("slstm", rng), rng.integers(V, size=T)
    read = network.read_network(model, dtype="float64")
    (start,) = read.zero_states()
    assert np.all(start[1] == -np.inf)
    trace, _ = read.run(ids, read.zero_states())
    _, h, normaliser, cell = trace[0]  # before each token
    cell_of_keras = language_model.recurrent_layers(model)[0].cell
    states = [np.zeros((1, 5), "float32") for _ in range(4)]
    for t, token in enumerate(ids):
        if t:
            ours = h[t], normaliser[t], cell[t]
            h_, c, n, m = (keras.ops.convert_to_numpy(s)[0] for s in states)
            theirs = h_, m + np.log(n), c / n
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        _, states = cell_of_keras(read.table[[token]].astype("float32"), states)


@pytest.mark.parametrize("bias", [200.0, -200.0])
def test_an_exponential_gate_beyond_float32_has_finite_differentials(bias, rng):
    kernel = rng.normal(size=(E, 16)).astype("float32")
    recurrent = rng.normal(size=(4, 16)).astype("float32")
    biases = np.zeros(16, "float32")
    biases[:4] = bias
    weights = kernel, recurrent, biases
    states = [np.zeros(4, "float32"), np.full(4, -np.inf, "float32")]
    states.append(np.zeros(4, "float32"))
    for _ in range(3):
        x = rng.normal(size=E).astype("float32")
        states, slopes, differential = own_formulas.slstm(
            formulas.NUMPY, weights, x, states
        )
        made = differential(*slopes())
        arrays = [*made.inputs, *made.dense.values(), *states]
        arrays += [term.scale for terms in made.diagonal for term in terms]
        assert all(np.isfinite(array).all() for array in arrays)


class ChangedCell(cells.MinLSTMCell):
    """A subclass may do anything: no closed form is taken for it."""

    def elements(self, x):
        """Keep half of what a minimal LSTM keeps."""
        a, b = super().elements(x)
        return a / 2, b


def test_a_subclass_is_differentiated_rather_than_taken_for_its_parent(rng):
    cell = ChangedCell(H)
    cell.build((None, E))
    read = readers.read_cell(cell, n_inputs=E)
    assert isinstance(read, readers.Automatic)
    x, h = rng.normal(size=(1, E)), rng.normal(size=(1, H))
    (make,) = read.differentials(x.astype("float32"), [h.astype("float32")])
    a, _ = cell.elements(x.astype("float32"))
    # float32
    np.testing.assert_allclose(
        make().dense[0, 0], np.diag(np.ravel(a)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("cell", settings.OF_OURS)
def test_a_saved_model_is_inspected_as_it_stands(cell, rng, tmp_path):
    model, ids = model_of(cell, rng), rng.integers(V, size=40)
    model.save(tmp_path / "model.keras")
    words = [f"w{k}" for k in range(V)]
    (tmp_path / "vocabulary.txt").write_text("\n".join(words) + "\n")
    (tmp_path / "text.txt").write_text(" ".join(words[k] for k in ids) + "\n")
    curves = inspection.inspect_files(
        tmp_path / "model.keras",
        text=[tmp_path / "text.txt"],
        vocabulary=tmp_path / "vocabulary.txt",
        max_delay=3,
    )
    gradient = mean(model, ids)["state_gradient"]
    expected = np.linalg.norm(gradient.values, ord=2, axis=(1, 2))
    memory = curves["memory"].sel(normalization="raw")
    np.testing.assert_allclose(memory.squeeze(), expected, rtol=1e-4)
