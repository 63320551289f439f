"""Models that read numbers: against central differences, and what is refused."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import state_gradients as sg
from state_gradients.engine import jobs, network
from state_gradients.foundation import backends

L = keras.layers
F, T, DELAYS = 3, 7, 4
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="JAX computes in float64 only if enabled"
)
DOUBLE = {"dtype": "float64"}
SEQUENCES = {"return_sequences": True, **DOUBLE}


def dense(units, activation=None):
    return L.Dense(units, activation=activation, **DOUBLE)


STACKS = {  # layers up to the one that is asked about, and its number
    "LSTM": lambda: [L.LSTM(4, **SEQUENCES)],
    "GRU, reset before": lambda: [L.GRU(4, reset_after=False, **SEQUENCES)],
    "LSTM, Dropout, GRU": lambda: [
        L.LSTM(5, **SEQUENCES),
        L.Dropout(0.5, **DOUBLE),
        L.GRU(4, **SEQUENCES),
    ],
    "Dense below": lambda: [dense(5, "tanh"), L.GRU(4, **SEQUENCES)],
    "Dense and TimeDistributed below two": lambda: [
        L.TimeDistributed(dense(5, "softmax"), **DOUBLE),  # not entry by entry
        L.Dropout(0.5, **DOUBLE),
        dense(2),
        L.LSTM(4, **SEQUENCES),
        L.SimpleRNN(4, activation="elu", **SEQUENCES),
    ],
}


def build(name, *, length=None, seed=3):
    """Return a stack, and the same with a layer above it, as models of numbers."""
    layers = STACKS[name]()
    point = keras.Input((length, F), **DOUBLE)
    stack = keras.Sequential([point, *layers])
    model = keras.Sequential([point, *layers, dense(1)])
    rng = np.random.default_rng(seed)
    for layer in layers:
        weights = layer.get_weights() if layer.count_params() else []
        layer.set_weights([rng.normal(scale=0.7, size=w.shape) for w in weights])
    return model, stack, sum(isinstance(layer, L.RNN) for layer in layers)


def jacobians(stack, trial, *, step=1e-5):
    """Return dh_t/dx_p of Keras's own outputs, (T, T, units, feature)."""
    n_steps, size = trial.shape
    shifts = step * np.eye(n_steps * size).reshape(-1, n_steps, size)
    batch = np.concatenate([trial + shifts, trial - shifts])
    outputs = keras.ops.convert_to_numpy(stack(batch, training=False))
    plus, minus = np.split(outputs, 2)
    slopes = ((plus - minus) / (2 * step)).reshape(n_steps, size, n_steps, -1)
    return slopes.transpose(2, 0, 3, 1)


def averaged(by_trial, counts=lambda trial, t, p: True):
    """Return means by delay over all trials and steps that count, and their number."""
    means, numbers = [], []
    for delay in range(DELAYS + 1):
        chosen = [
            gradients[t, t - delay]
            for trial, gradients in enumerate(by_trial)
            for t in range(delay, len(gradients))
            if counts(trial, t, t - delay)
        ]
        means.append(np.mean(chosen, axis=0))
        numbers.append(len(chosen))
    return np.array(means), numbers


# step 1e-5: truncation step^2 / 6 times third derivatives (some 100), round-off eps /
# step = 2e-11; both below 1e-8 for weights of order one
DIFFERENCES = {"rtol": 0, "atol": 1e-8}


@double
@pytest.mark.parametrize("engine", jobs.ENGINES)
@pytest.mark.parametrize("name", STACKS)
def test_means_equal_central_differences_of_the_whole_stack(name, engine, rng):
    model, stack, layer = build(name)
    trials = rng.normal(size=(2, T, F))
    found = sg.mean_state_gradients(
        model,
        inputs=trials,
        max_delay=DELAYS,
        layer=layer,
        state="hidden",
        dtype="float64",
        engine=engine,
    )
    expected, numbers = averaged([jacobians(stack, trial) for trial in trials])
    np.testing.assert_allclose(found["state_gradient"], expected, **DIFFERENCES)
    assert found["n_samples"].values.tolist() == numbers
    assert found["state_gradient"].attrs["units"] == "state unit / input unit"


@double
def test_positions_windows_and_second_moments_are_as_of_words(rng):
    model, stack, layer = build("Dense below")
    trials = rng.normal(size=(2, T, F))
    positions = rng.random((2, 2, T)) < 0.6
    by_trial = [jacobians(stack, trial) for trial in trials]
    asked = {"max_delay": DELAYS, "layer": layer, "dtype": "float64"}
    found = sg.mean_state_gradients(
        model, inputs=trials, positions=positions, second_moment=True, **asked
    )
    for group in range(2):

        def counts(trial, t, p, group=group):
            return positions[group, trial, p]

        expected, numbers = averaged(by_trial, counts)
        of_group = found.isel(group=group)
        np.testing.assert_allclose(of_group["state_gradient"], expected, **DIFFERENCES)
        assert of_group["n_samples"].values.tolist() == numbers
        squares = [g.swapaxes(-1, -2) @ g for g in by_trial]
        expected, _ = averaged(squares, counts)
        np.testing.assert_allclose(of_group["second_moment"], expected, **DIFFERENCES)
    windowed = sg.mean_state_gradients(model, inputs=trials, window=5, **asked)
    expected, _ = averaged(by_trial, lambda trial, t, p: t // 5 == p // 5)
    np.testing.assert_allclose(windowed["state_gradient"], expected, **DIFFERENCES)


@double
def test_trials_of_unequal_length_blocks_and_executors(rng):
    model, stack, layer = build("Dense below")
    trials = [rng.normal(size=(n, F)) for n in (T, 5, 8)]
    by_trial = [jacobians(stack, trial) for trial in trials]
    asked = {"max_delay": DELAYS, "layer": layer, "dtype": "float64"}
    with ThreadPoolExecutor(2) as executor:
        found = sg.mean_state_gradients(
            model, inputs=trials, blocks=3, executor=executor, **asked
        )
    for block in range(3):
        expected, numbers = averaged(by_trial[block : block + 1])
        of_block = found.isel(block=block)
        np.testing.assert_allclose(of_block["state_gradient"], expected, **DIFFERENCES)
        assert of_block["n_samples"].values.tolist() == numbers


@double
def test_a_cell_behind_dense_layers_travels_to_another_process(rng):
    model, *_ = build("Dense below")
    (cell,) = network.read_network(model, dtype="float64", words=False).cells
    there = pickle.loads(pickle.dumps(cell))
    x, states = rng.normal(size=(T, F)), [rng.normal(size=(T, 4))]
    for ours, theirs in zip(
        cell.differentials(x, states), there.differentials(x, states), strict=True
    ):
        np.testing.assert_array_equal(ours().inputs[0], theirs().inputs[0])


def test_words_are_read_as_numbers_are_once_they_are_looked_up(rng):
    """The same layer with and without an embedding: the same numbers, bit for bit."""
    layer = L.LSTM(4)
    words = keras.Sequential([keras.Input((None,)), L.Embedding(9, F), layer])
    numbers = keras.Sequential([keras.Input((None, F)), layer])
    ids = rng.integers(9, size=(2, 40))
    table = words.layers[0].get_weights()[0]
    asked = {"max_delay": 6, "second_moment": True}
    of_words = sg.mean_state_gradients(words, ids, **asked)
    of_numbers = sg.mean_state_gradients(numbers, inputs=table[ids], **asked)
    for name in of_words:
        np.testing.assert_array_equal(of_words[name], of_numbers[name])


def test_a_chosen_layer_below_is_differentiated_against(rng):
    low, high = L.LSTM(5, return_sequences=True), L.GRU(4)
    both = keras.Sequential([keras.Input((None, F)), low, high])
    alone = keras.Sequential([keras.Input((None, 5)), high])
    trial = rng.normal(size=(20, F)).astype("float32")
    between = keras.ops.convert_to_numpy(low(trial[None]))[0]
    of_both = sg.mean_state_gradients(both, inputs=trial, max_delay=4, layer=2, wrt=1)
    of_one = sg.mean_state_gradients(alone, inputs=between, max_delay=4)
    # two forward passes in float32
    np.testing.assert_allclose(
        of_both["state_gradient"], of_one["state_gradient"], rtol=1e-4, atol=1e-6
    )


# ------------------------------------------------------------- names and whitening


def weather(*layers, length=None, features=F, **options):
    options = {"return_sequences": True} | options
    recurrent = L.LSTM(4, **options)
    return keras.Sequential([keras.Input((length, features)), *layers, recurrent])


NAMES = ["temperature", "humidity", "wind"]


@pytest.mark.parametrize("kind", ["DataArray", "DataFrame", "list of DataArrays"])
def test_features_keep_their_names(kind, rng):
    model, trial = weather(), rng.normal(size=(20, F))
    labelled = xr.DataArray(trial, {"feature": NAMES}, dims=("time", "feature"))
    given = {
        "DataArray": labelled.T,  # axes are taken by their names
        "DataFrame": pd.DataFrame(trial, columns=NAMES),
        "list of DataArrays": [labelled],
    }[kind]
    found = sg.mean_state_gradients(
        model, inputs=given, max_delay=2, second_moment=True
    )
    plain = sg.mean_state_gradients(model, inputs=trial, max_delay=2)
    assert found["embedding"].values.tolist() == NAMES
    assert found["embedding_2"].values.tolist() == NAMES
    np.testing.assert_array_equal(found["state_gradient"], plain["state_gradient"])
    assert "embedding" not in plain.coords


def test_inputs_are_whitened_by_their_own_covariance(rng):
    model = weather()
    trials = rng.normal(size=(3, 30, F)) @ rng.normal(size=(F, F)) + 5
    trials = trials.astype("float32")
    labelled = xr.DataArray(
        trials, {"feature": NAMES}, dims=("trial", "time", "feature")
    )
    curves = sg.inspect_model(model, inputs=labelled, max_delay=3)
    gradient = sg.mean_state_gradients(model, inputs=trials, max_delay=3)
    gradient = gradient["state_gradient"].values
    steps = np.float64(trials).reshape(-1, F)
    root = np.linalg.cholesky(np.cov(steps.T))
    s = np.linalg.svdvals(gradient @ root)
    memory = curves["memory"].sel(normalization="whitened")
    np.testing.assert_allclose(memory, s[:, 0], rtol=1e-9)
    lengths = np.linalg.norm(gradient, axis=1) * steps.std(axis=0)
    np.testing.assert_allclose(curves["feature_memory"], lengths, rtol=1e-9)
    assert curves["feature_memory"]["feature"].values.tolist() == NAMES


SINGULAR = {  # how the third feature is made of the others, and what is said
    "constant": (lambda x: 0 * x[:, 0] + 3.7, "Constant: ['wind']."),
    "a sum": (
        lambda x: x[:, 0] + x[:, 1],
        "Dependent: ['temperature', 'humidity', 'wind'].",
    ),
    "a copy": (lambda x: 2 * x[:, 0] - 1, "Dependent: ['temperature', 'wind']."),
    "of another scale": (lambda x: 1e-9 * x[:, 2], "humidity differ too much"),
}


@pytest.mark.parametrize("case", SINGULAR)
def test_a_covariance_that_is_singular_names_the_features(case, rng):
    make, said = SINGULAR[case]
    x = rng.normal(size=(40, F)) * [1, 2, 1]
    x[:, 2] = make(x)
    trial = xr.DataArray(x, {"feature": NAMES}, dims=("time", "feature"))
    note = sg.inspect_model(weather(), inputs=trial, max_delay=2).attrs["note"]
    assert note.startswith("raw gradients only.")
    assert said in note
    with pytest.raises(ValueError, match=r"^fit_whitening: ") as caught:
        sg.fit_whitening(trial.rename(feature="embedding"))
    assert said in str(caught.value) or case == "of another scale"  # float32 or not


# ----------------------------------------------------------------- what is refused


class Odd(L.Dense):
    pass


def functional_of_two():
    first, second = keras.Input((None, F)), keras.Input((None, F))
    return keras.Model([first, second], L.LSTM(4)(L.Add()([first, second])))


MODELS = {
    "A model of words, given numbers": (
        lambda: keras.Sequential([keras.Input((None,)), L.Embedding(9, F), L.LSTM(4)]),
        "Give it ids, and no `inputs`",
    ),
    "An Input of whole numbers, given others": (
        lambda: keras.Sequential([keras.Input((None, F), dtype="int32"), L.LSTM(4)]),
        "Input of one of",
    ),
    "A Masking layer, below the recurrent ones": (
        lambda: weather(L.Masking()),
        "mask no steps",
    ),
    "A stateful layer that reads numbers": (
        lambda: keras.Sequential(
            [keras.Input(batch_shape=(1, 5, F)), L.LSTM(4, stateful=True)]
        ),
        "`stateful`",
    ),
    "A layer that reads numbers backwards": (
        lambda: weather(go_backwards=True),
        "`go_backwards`",
    ),
    "A bidirectional layer that reads numbers": (
        lambda: keras.Sequential([keras.Input((None, F)), L.Bidirectional(L.LSTM(4))]),
        "read forwards only",
    ),
    "A convolution, below the recurrent ones": (
        lambda: weather(L.Conv1D(F, 3, padding="same")),
        "or Dense layers below these",
    ),
    "A subclass of Dense, below the recurrent ones": (
        lambda: weather(Odd(F)),
        "Dense layers itself",
    ),
    "A Dense layer in mixed precision": (
        lambda: weather(L.Dense(F, dtype="mixed_float16")),
        "mixed_float16",
    ),
    "Two Inputs of numbers": (functional_of_two, "must have one Input"),
    "No recurrent layer, given numbers": (
        lambda: keras.Sequential([keras.Input((5, F)), L.Flatten(), L.Dense(2)]),
        "or Dense layers below these",
    ),
}


def refusal(model, **options):
    options = {"inputs": TRIAL, "max_delay": 2} | options
    with pytest.raises(ValueError, match=r"^mean_state_gradients: ") as caught:
        sg.mean_state_gradients(model, **options)
    return str(caught.value)


TRIAL = np.random.default_rng(0).normal(size=(9, F))


def refusal_of_model(name):
    return refusal(MODELS[name][0]())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_numbers_that_is_not_known_to_be_right_is_refused(name):
    assert MODELS[name][1] in refusal_of_model(name)


def test_a_model_of_numbers_given_ids_is_told_about_inputs():
    with pytest.raises(ValueError, match=r"One that reads numbers is given `inputs`"):
        sg.mean_state_gradients(weather(), [1, 2, 3], max_delay=1)


def gap(value):
    trial = np.stack([TRIAL, TRIAL])
    trial[1, 4, 2] = value
    dims = ("trial", "time", "feature")
    return xr.DataArray(trial, {"feature": NAMES}, dims=dims)


def axes(*dims):
    return xr.DataArray(TRIAL, dims=dims)


def ordered(*orders):
    """Return trials with their features in some orders."""
    return [pd.DataFrame(TRIAL, columns=NAMES)[list(order)] for order in orders]


def back_in_time():
    return axes("time", "feature").assign_coords(time=np.arange(len(TRIAL))[::-1])


ARGUMENTS = {
    "neither ids nor `inputs`": ({"inputs": None}, "received neither"),
    "both ids and `inputs`": ({"ids": [1, 2, 3]}, "received both"),
    "`inputs` with a feature too few": (
        {"inputs": pd.DataFrame(TRIAL[:, :2], columns=NAMES[:2])},
        "the 3 features that the model reads, received shape (9, 2)",
    ),
    "`inputs` with a gap": (
        {"inputs": gap(np.nan)},
        "first in trial 1, step 4, feature wind",
    ),
    "`inputs` beyond float32": ({"inputs": gap(1e300)}, "finite in float32"),
    "`inputs` of one axis": ({"inputs": TRIAL[:, 0]}, "(time, feature) or (trial"),
    "`inputs` of words": ({"inputs": TRIAL.astype(str)}, "must hold real numbers"),
    "`inputs` of complex numbers": ({"inputs": TRIAL * 1j}, "must hold real numbers"),
    "`inputs` in rows of unequal length": ({"inputs": [[1, 2], [3]]}, "must be an arr"),
    "`inputs` without a step": ({"inputs": TRIAL[:0]}, "received shape (1, 0, 3)"),
    "`inputs` with other axes": (
        {"inputs": axes("day", "feature")},
        "([trial], time, feature), received ('day', 'feature')",
    ),
    "`inputs` with features in two orders": (
        {"inputs": ordered(NAMES, NAMES[::-1])},
        "trial 0 and trial 1 must have the same names along `feature`",
    ),
    "`inputs` with a feature of another name": (
        {"inputs": [gap(0)[0], gap(0)[0].assign_coords(feature=["x", "y", "z"])]},
        "received ['temperature', 'humidity', 'wind'] and ['x', 'y', 'z']",
    ),
    "`inputs` whose times fall": (
        {"inputs": back_in_time()},
        "`time` of `inputs` must rise, received [8, 7, 6",
    ),
    "masked `inputs`": (
        {"inputs": np.ma.masked_less(TRIAL, -1)},
        "`inputs` must have no masked entries",
    ),
    "masked `inputs` in a list": (
        {"inputs": [TRIAL, np.ma.masked_less(TRIAL, -1)]},
        "fill or drop them first",
    ),
    "`groups` of `inputs`": (
        {"groups": np.ones((1, F), bool)},
        "choose inputs by their `positions`",
    ),
    "`padding` of `inputs`": ({"padding": 0}, "`groups` and `padding` are of words"),
    "`inputs` shorter than the delays": ({"max_delay": 9}, "the trials' or window's"),
}


def refusal_of_argument(name):
    return refusal(weather(), **ARGUMENTS[name][0])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_numbers_that_cannot_be_meant_are_refused(name):
    assert ARGUMENTS[name][1] in refusal_of_argument(name)
