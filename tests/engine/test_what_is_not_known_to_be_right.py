"""Models and arguments that look right: right to a stated error, or refused by name.

The rule behind the table is general. What is not known to be harmless is refused: a
layer by its exact type and by whether its class overrides what it is trusted for, an
Embedding unless it looks up the very rows that are read, and any model whose first
steps, run through Keras itself, are not those of the network that was read.
"""

import functools
import inspect
import re

import keras
import numpy as np
import pytest
import xarray as xr
from keras import ops

from state_gradients.analysis import spectra, whitening
from state_gradients.engine import means, network, trust
from state_gradients.models import evaluation, language_model

L = keras.layers
V, E, H = 11, 3, 4
IDS = np.random.default_rng(0).integers(V, size=30)


def sequential(*layers, length=None):
    return keras.Sequential([keras.Input((length,), dtype="int32"), *layers])


def embedding(**options):
    return L.Embedding(V, E, **options)


# ------------------------------------------------------------------ models


class Doubling(L.Dropout):
    def call(self, inputs, training=None):
        return 2 * inputs


class Scaled(L.Embedding):
    def call(self, inputs):
        return 3 * super().call(inputs)


class Shifted(L.LSTM):
    def call(self, sequences, initial_state=None, mask=None, training=False):
        return super().call(sequences + 1.0, initial_state, mask, training)


class WarmCell(L.SimpleRNNCell):
    def get_initial_state(self, batch_size=None):
        return [ops.ones((batch_size, self.units))]


class Constant(keras.layers.Layer):
    """Neither transparent nor recurrent: it ends the stack."""

    def call(self, x):
        return x


def quantized():
    model = sequential(embedding(), L.LSTM(H))
    model(IDS[None, :4])
    model.layers[0].quantize("int8")
    return model


def with_lora():
    model = sequential(embedding(), L.LSTM(H))
    model(IDS[None, :4])
    model.layers[0].enable_lora(2)
    table = model.layers[0].lora_embeddings_b
    table.assign(np.ones(table.shape))
    return model


def ids_changed_on_the_way():
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, L.LSTM(H)(embedding()(ops.mod(ids + 1, V))))


def state_from_a_second_input():
    ids, h = keras.Input((None,), dtype="int32"), keras.Input((H,))
    return keras.Model([ids, h], L.GRU(H)(embedding()(ids), initial_state=[h]))


def a_mask_from_elsewhere():
    ids, heard = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="bool")
    return keras.Model([ids, heard], L.LSTM(H)(embedding()(ids), mask=heard))


def dropout_that_is_always_on(*, recurrent):
    """`model(ids)` has it, `model.predict(ids)` has not."""
    ids, on = keras.Input((None,), dtype="int32"), {"training": True}
    x = L.Dropout(0.5)(embedding()(ids), **({} if recurrent else on))
    return keras.Model(ids, L.LSTM(H, dropout=0.5)(x, **(on if recurrent else {})))


def embedding_used_twice():
    ids, others = (keras.Input((None,), dtype="int32") for _ in range(2))
    table = embedding()
    return keras.Model([others, ids], L.LSTM(H)(table(ids)) + L.GRU(H)(table(others)))


def unbuilt_sequential():
    return keras.Sequential([embedding(), L.LSTM(H)])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.table, self.lstm = embedding(), L.LSTM(H)

    def call(self, ids):
        return self.lstm(self.table(ids))


class Residual(keras.Model):
    """A functional graph whose call does something else."""

    def call(self, ids, training=None):
        return 2 * super().call(ids)


def functional_subclass():
    ids = keras.Input((None,), dtype="int32")
    return Residual(ids, L.LSTM(H)(embedding()(ids)))


def side_by_side():
    ids = keras.Input((None,), dtype="int32")
    embedded = embedding()(ids)
    return keras.Model(ids, [L.LSTM(H)(embedded), L.GRU(H)(embedded)])


def masking_changed():
    model = sequential(embedding(mask_zero=True), L.LSTM(H))
    model.layers[0].mask_zero = False
    return model


def small_ids():
    ids = keras.Input((None,), dtype="uint8")
    return keras.Sequential([ids, L.Embedding(300, E), L.LSTM(H)])


def half_within():
    cells = L.GRUCell(H), L.GRUCell(H, dtype="mixed_float16")
    return sequential(embedding(), L.RNN(L.StackedRNNCells(cells)))


def of_the_batch(x):
    """Divide by the root mean square, of the other rows too."""
    return x / ops.sqrt(ops.mean(ops.square(x)))


class Stopped(L.SimpleRNNCell):
    """No derivative goes through its state."""

    def call(self, sequence, states, training=False):
        return super().call(sequence, [ops.stop_gradient(states[0])], training)


MODELS = {
    "An embedding quantized to int8": (quantized, "quantized"),
    "An embedding with LoRA weights": (with_lora, "LoRA"),
    "Ids that keras.ops change before the embedding": (
        ids_changed_on_the_way,
        "Input itself",
    ),
    "An initial state that comes from a second Input": (
        state_from_a_second_input,
        "initial_state",
    ),
    "A mask that comes from a second Input": (a_mask_from_elsewhere, "no `mask`"),
    "A Dropout called with training=True": (
        lambda: dropout_that_is_always_on(recurrent=False),
        "not called with training=True",
    ),
    "A recurrent layer called with training=True": (
        lambda: dropout_that_is_always_on(recurrent=True),
        "not called with training=True",
    ),
    "An embedding that is called twice": (embedding_used_twice, "called once"),
    "A Sequential that is not built": (unbuilt_sequential, "be built"),
    "A subclassed model": (Subclassed, "Sequential or functional"),
    "A functional model whose call does something else": (
        functional_subclass,
        "Sequential or functional",
    ),
    "A subclass of Dropout that does something": (
        lambda: sequential(embedding(), Doubling(0.5), L.LSTM(H)),
        "Doubling",
    ),
    "A subclass of Embedding": (
        lambda: sequential(Scaled(V, E), L.LSTM(H)),
        "Scaled",
    ),
    "A subclass of LSTM": (lambda: sequential(embedding(), Shifted(H)), "Shifted"),
    "A cell that starts from a state of ones": (
        lambda: sequential(embedding(), L.RNN(WarmCell(H))),
        "zero",
    ),
    "Mixed precision": (
        lambda: sequential(embedding(), L.LSTM(H, dtype="mixed_float16")),
        "mixed_float16",
    ),
    "An embedding in mixed bfloat16": (
        lambda: sequential(embedding(dtype="mixed_bfloat16"), L.LSTM(H)),
        "mixed_bfloat16",
    ),
    "A layer in half precision within a cell": (half_within, "mixed_float16"),
    "Two recurrent layers side by side on one embedding": (
        side_by_side,
        "side by side",
    ),
    "An Embedding whose mask_zero was changed": (masking_changed, "mask_zero"),
    "An Input that does not hold every id": (small_ids, "every id up to 299"),
    "A cell that looks at the other texts of its batch": (
        lambda: sequential(embedding(), L.SimpleRNN(H, activation=of_the_batch)),
        "batch one by one",
    ),
    "A cell whose gradient is stopped": (
        lambda: sequential(embedding(), L.RNN(Stopped(H))),
        "differentiated as they compute: along the state 'hidden'",
    ),
    "A layer that nobody knows, below the recurrent ones": (
        lambda: sequential(embedding(), Constant(), L.LSTM(H)),
        "Constant",
    ),
}


def refusal(model, ids=IDS, **options):
    """Return what is said in refusing to average."""
    with pytest.raises(ValueError) as caught:
        means.mean_state_gradients(model, ids, **{"max_delay": 2} | options)
    return str(caught.value)


def refusal_of_model(name):
    return refusal(MODELS[name][0]())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_not_known_to_be_right_is_refused_by_name(name):
    said = refusal_of_model(name)
    assert re.match(f"mean_state_gradients: .*{MODELS[name][1]}", said)


TRUSTED = (L.Embedding, *trust.RECURRENT, *trust.TRANSPARENT)
# Python's own, and what Keras calls before a class can be told from its base
NOT_OVERRIDDEN = {"__init__", "__new__", "__init_subclass__", "__class_getitem__"}


def invented(kind, rng, n_overridden=2):
    """Return a subclass that nobody has written, with some methods of its own.

    Each does what it did: what counts is that it might do anything.
    """
    methods = [name for name, _ in inspect.getmembers(kind, inspect.isfunction)]
    names = rng.choice(sorted({*methods} - NOT_OVERRIDDEN), n_overridden, replace=False)

    def passed_on(method):
        @functools.wraps(method)
        def own(*arguments, **options):
            return method(*arguments, **options)

        return own

    own = {str(name): passed_on(getattr(kind, name)) for name in names}
    return type(f"Invented{kind.__name__}", (kind,), own)


def stack_with(kind, invented):
    """Return a model one layer of which is of the class `invented` of a kind."""
    if kind is L.Embedding:
        return sequential(invented(V, E), L.LSTM(H))
    if kind is L.RNN:
        return sequential(embedding(), invented(L.LSTMCell(H)))
    if kind in trust.RECURRENT:
        return sequential(embedding(), invented(H))
    return sequential(embedding(), invented(0.3), L.LSTM(H))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", TRUSTED)
def test_a_subclass_that_no_test_names_is_refused_too(kind, seed):
    own = invented(kind, np.random.default_rng(seed), seed)
    model = stack_with(kind, own)
    with pytest.raises(
        ValueError, match=rf"mean_state_gradients: .*\({own.__name__}\)"
    ):
        means.mean_state_gradients(model, IDS, max_delay=2)


RUNNING = (
    *("call", "__call__", "_run_through_graph", "_standardize_inputs", "layers"),
    *("build", "compute_output_spec", "operations", "_maybe_build", "inputs"),
)


@pytest.mark.parametrize("name", RUNNING)
def test_a_model_that_runs_otherwise_is_refused_whatever_it_overrides(name):
    ids = keras.Input((None,), dtype="int32")
    outputs = L.LSTM(H)(embedding()(ids))
    Own = type("Own", (type(keras.Model(ids, outputs)),), {})
    model = Own(ids, outputs)
    setattr(Own, name, getattr(Own, name))
    with pytest.raises(ValueError, match=f"has its own {name}"):
        means.mean_state_gradients(model, IDS, max_delay=2)


def test_a_model_that_trains_and_saves_otherwise_is_read():
    class Trained(keras.Model):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.steps = 0

        def train_step(self, *arguments):
            self.steps += 1
            return super().train_step(*arguments)

        def get_config(self):
            return super().get_config() | {"steps": self.steps}

        def summary(self, *arguments, **options):
            return None

    ids = keras.Input((None,), dtype="int32")
    model = Trained(ids, L.LSTM(H)(embedding()(ids)))
    means.mean_state_gradients(model, IDS, max_delay=2)


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", TRUSTED)
def test_a_precision_is_refused_in_any_layer(kind, policy):
    model = stack_with(kind, functools.partial(kind, dtype=policy))
    with pytest.raises(ValueError, match=f"mean_state_gradients: .*not {policy}"):
        means.mean_state_gradients(model, IDS, max_delay=2)


# ------------------------------------------------------------- arguments


def two_layers():
    return sequential(embedding(), L.LSTM(H, return_sequences=True), L.GRU(H))


@pytest.fixture(scope="module")
def model():
    return two_layers()


SQUARE = np.eye(V, dtype=bool)


def counted(axis, masks):
    """Return masks whose entries are counted along an axis, the last first."""
    coords = {axis: np.arange(masks.shape[1])[::-1]}
    return xr.DataArray(masks, coords, dims=("group", axis))


ARGUMENTS = {
    "dtype='float16'": ({"dtype": "float16"}, "`dtype` must be"),
    "dtype=np.float64": ({"dtype": np.float64}, "`dtype` must be"),
    "layer=0": ({"layer": 0}, "`layer` must"),
    "layer=True": ({"layer": True}, "`layer` must"),
    "layer=1.0": ({"layer": 1.0}, "`layer` must"),
    "wrt='embedding'": ({"wrt": "embedding"}, "`wrt` must"),
    "max_delay=2.0": ({"max_delay": 2.0}, "`max_delay` must"),
    "max_delay=True": ({"max_delay": True}, "`max_delay` must"),
    "max_delay=-1": ({"max_delay": -1}, "`max_delay` must"),
    "blocks=2.0": ({"blocks": 2.0}, "`blocks` must"),
    "window=7.0": ({"window": 7.0}, "`window` must"),
    "window=0": ({"window": 0}, "`window` must"),
    "state=()": ({"state": ()}, "`state` must"),
    "state=1": ({"state": 1}, "`state` must"),
    "state=['cell', 3]": ({"state": ["cell", 3]}, "`state` must"),
    "groups=[[1, 2, .., 0]], ids": (
        {"groups": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]]},
        "boolean",
    ),
    "groups=np.ones((1, 11))": ({"groups": np.ones((1, V))}, "boolean"),
    "groups with axes (vocabulary, set)": (
        {"groups": xr.DataArray(SQUARE, dims=("vocabulary", "set"))},
        "group",
    ),
    "groups in another order than the ids": (
        {"groups": counted("vocabulary", SQUARE)},
        "`vocabulary` of `groups` must count from 0",
    ),
    "positions in another order than the ids": (
        {"positions": counted("time", np.ones((1, 30), bool))},
        "`time` of `positions` must count from 0",
    ),
    "masked groups": (
        {"groups": np.ma.masked_array(SQUARE, SQUARE)},
        "`groups` must have no masked entries",
    ),
    "positions=np.arange(30)[None]": ({"positions": np.arange(30)[None]}, "boolean"),
    "positions without groups": ({"positions": np.ones(30, bool)}, "`positions`"),
    "engine='tile'": ({"engine": "tile"}, "`engine` must"),
}


def refusal_of_argument(model, name):
    return refusal(model, **ARGUMENTS[name][0])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_of_the_wrong_kind_is_refused_by_name(model, name):
    said = refusal_of_argument(model, name)
    assert re.match(f"mean_state_gradients: .*{ARGUMENTS[name][1]}", said)


def test_positions_of_texts_must_have_their_groups_in_one_order(model):
    texts, masks = [IDS, IDS[:20]], [np.eye(2, n, dtype=bool) for n in (30, 20)]
    positions = [
        xr.DataArray(mask, {"group": ["first", "second"]}, dims=("group", "time"))
        for mask in masks
    ]
    asked = {"max_delay": 2, "positions": positions}
    found = means.mean_state_gradients(model, texts, **asked)
    plain = means.mean_state_gradients(model, texts, max_delay=2, positions=masks)
    np.testing.assert_array_equal(found["n_samples"], plain["n_samples"])
    positions[1] = positions[1][::-1]
    said = refusal(model, texts, **asked)
    assert "of text 1 must have the same names along `group`" in said
    assert "['first', 'second'] and ['second', 'first']" in said


def test_groups_of_a_dataarray_are_taken_by_the_names_of_their_axes(model, rng):
    groups = xr.DataArray(rng.random((V, V)) < 0.5, dims=("group", "vocabulary"))
    straight = means.mean_state_gradients(model, IDS, max_delay=2, groups=groups)
    across = means.mean_state_gradients(model, IDS, max_delay=2, groups=groups.T)
    xr.testing.assert_identical(straight, across)


IDS_REFUSED = {
    "floats": IDS.astype(float),
    "booleans": IDS > 3,
    "words": IDS.astype(str),
    "negative numbers": -IDS - 1,
    "ids beyond the vocabulary": IDS + V,
    "numbers that 32 bits would wrap": IDS.astype(np.int64) + 2**32,
    "an array of three axes": IDS.reshape(1, 2, 15),
    "nothing": IDS[:0],
    "complex numbers": IDS.astype(complex),
    "a masked array": np.ma.masked_equal(IDS, 7),
    "axes (time, stream)": xr.DataArray(IDS.reshape(15, 2), dims=("time", "stream")),
}


@pytest.mark.parametrize("kind", IDS_REFUSED)
def test_ids_that_are_none_are_refused(model, kind):
    said = refusal(model, IDS_REFUSED[kind])
    assert said.startswith("mean_state_gradients: `ids` must")


@pytest.mark.parametrize("kind", IDS_REFUSED)
def test_a_perplexity_is_of_ids_within_the_vocabulary(kind):
    from state_gradients.foundation import settings

    small = settings.Model(units=H, embedding_size=E)
    network = language_model.build_language_model(small, V)
    with pytest.raises(ValueError, match="`ids` must"):
        evaluation.perplexity(network, IDS_REFUSED[kind], batch_size=1, num_steps=5)


# -------------------------------------------------------------- analysis


def test_complex_gradients_are_refused(rng):
    gradient = rng.normal(size=(3, H, E)) * (1 + 1j)
    fitted = whitening.fit_whitening(rng.normal(size=(20, E)))
    for function in (spectra.decompose, spectra.memory_curve):
        with pytest.raises(ValueError, match="real"):
            function(gradient)
    with pytest.raises(ValueError, match="real"):
        whitening.whiten_gradient(gradient, fitted)
    with pytest.raises(ValueError, match="real"):
        whitening.fit_whitening(rng.normal(size=(20, E)) * 1j)


@pytest.mark.parametrize("scale", [1e170, 1e-170, 1e300])
def test_whitening_holds_at_any_scale_or_refuses(rng, scale):
    table = rng.normal(size=(20, E))
    try:
        fitted = whitening.fit_whitening(table * scale)
    except ValueError as error:
        assert "scale" in str(error) or "overflow" in str(error)
        return
    white = (table * scale - fitted.mean) @ fitted.Z.T
    np.testing.assert_allclose(np.cov(white.T), np.eye(E), atol=1e-10)


# ------------------------------------------------- a right model stays right


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [L.LSTM(H)],
        lambda: [L.SpatialDropout1D(0.3), L.GRU(H, reset_after=False)],
        lambda: [L.SimpleRNN(H, activation="relu", unroll=False)],
        lambda: [L.RNN(L.StackedRNNCells([L.LSTMCell(H), L.GRUCell(H)]))],
        lambda: [L.LSTM(H, dropout=0.4, recurrent_dropout=0.4, use_bias=False)],
    ],
)
def test_what_keras_does_in_its_first_steps_is_what_was_read(layers):
    read = network.read_network(sequential(embedding(), *layers()))
    assert len(read.cells) == 1
