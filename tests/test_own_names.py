"""What a public function refuses, it refuses in its own name, whatever it calls."""

import keras
import numpy as np
import pytest
import xarray as xr

import state_gradients as sg

V, E, H = 7, 2, 3
L = keras.layers
GRADIENT = np.ones((2, H, E))
MOMENT = np.eye(E)
COMPLEX = GRADIENT * 1j
SIGMA = xr.DataArray(np.ones((2, 3)), dims=("line", "delay"))
IDS = np.arange(6)
EMBEDDING = np.random.default_rng(0).normal(size=(20, E))


@pytest.fixture(scope="module")
def model():
    layers = L.Embedding(V, E), L.LSTM(H), L.Dense(V)
    return keras.Sequential([keras.Input((None,)), *layers])


@pytest.fixture(scope="module")
def whitening():
    return sg.fit_whitening(np.random.default_rng(0).normal(size=(20, E)))


def on_texts(function, **options):
    """The faults that every function of a model and its ids may be given."""
    required = {"max_delay": 2} | options
    return [
        lambda model, _: function(keras.Sequential(), IDS, **required),
        lambda model, _: function("model.keras", IDS, **required),
        lambda model, _: function(model, IDS + V, **required),
        lambda model, _: function(model, IDS / 2, **required),
        lambda model, _: function(model, [[1, 2], [[3]]], **required),
        lambda model, _: function(model, "a b c", **required),
        lambda model, _: function(model, IDS, **required | {"max_delay": 2.0}),
        lambda model, _: function(model, IDS, **required | {"max_delay": [2]}),
        lambda model, _: function(model, IDS, **required | {"max_delay": 6}),
        lambda model, _: function(model, IDS, **required | {"layer": "1"}),
        lambda model, _: function(model, IDS, **required | {"layer": [1]}),
        lambda model, _: function(model, IDS, **required | {"window": "5"}),
        lambda model, _: function(model, IDS, **required | {"window": np.ones(2)}),
        lambda model, _: function(model, IDS, **required | {"state": []}),
        lambda model, _: function(model, IDS, **required | {"state": ""}),
        lambda model, _: function(model, IDS, **required | {"state": 0}),
        lambda model, _: function(model, IDS, **required | {"state": np.ones(2)}),
        lambda model, _: function(model, IDS, **required | {"state": (["cell"],)}),
        lambda model, _: function(model, IDS, **required | {"dtype": np.ones(2)}),
        lambda model, _: function(model, IDS, **required | {"dtype": ["float32"]}),
    ]


FAULTS = {
    "mean_state_gradients": [
        lambda model, _: sg.mean_state_gradients(model, inputs=IDS, max_delay=2),
        lambda model, _: sg.mean_state_gradients(model, max_delay=2),
        *on_texts(sg.mean_state_gradients),
        lambda model, _: sg.mean_state_gradients(
            model, IDS, max_delay=1, blocks=np.ones(2)
        ),
        lambda model, _: sg.mean_state_gradients(
            model, IDS, max_delay=1, engine=["tiles"]
        ),
        lambda model, _: sg.mean_state_gradients(model, IDS, max_delay=1, padding="0"),
    ],
    "type_gradients": [
        *on_texts(sg.type_gradients),
        lambda model, _: sg.type_gradients(model, IDS, max_delay=1, types=[6]),
        lambda model, _: sg.type_gradients(model, IDS, max_delay=1, types=IDS > 2),
        lambda model, _: sg.type_gradients(model, IDS, max_delay=1, types=[1.0]),
    ],
    "sentence_memory": [
        *on_texts(sg.sentence_memory),
        lambda model, _: sg.sentence_memory(model, IDS.reshape(2, 3)),
        lambda model, _: sg.sentence_memory(model, IDS, whitening=np.eye(E)),
    ],
    "sentence_influence": [
        *on_texts(sg.sentence_influence),
        lambda model, _: sg.sentence_influence(model, IDS.reshape(2, 3)),
        lambda model, _: sg.sentence_influence(model, IDS, influence=None),
        lambda model, _: sg.sentence_influence(model, IDS, influence=0),
        lambda model, _: sg.sentence_influence(model, IDS, influence="all"),
        lambda model, _: sg.sentence_influence(model, IDS, whitening=np.eye(E)),
    ],
    "inspect_model": on_texts(sg.inspect_model),
    "load_torch": [
        lambda *_: sg.load_torch("nowhere.safetensors"),
        lambda *_: sg.load_torch("."),
        lambda *_: sg.load_torch(None),
        lambda *_: sg.load_torch({}),
    ],
    "load_model": [
        lambda *_: sg.load_model("nowhere.keras"),
        lambda *_: sg.load_model("."),
    ],
    "fit_whitening": [
        lambda *_: sg.fit_whitening(np.ones((5, 2))),
        lambda *_: sg.fit_whitening([["a"]]),
        lambda *_: sg.fit_whitening([]),
    ],
    "whiten_gradient": [
        lambda _, w: sg.whiten_gradient(COMPLEX, w),
        lambda _, w: sg.whiten_gradient(np.ones(3), w),
        lambda *_: sg.whiten_gradient(GRADIENT, np.eye(E)),
    ],
    "whiten_moment": [
        lambda _, w: sg.whiten_moment(MOMENT * 1j, w),
        lambda _, w: sg.whiten_moment(np.eye(3), w),
        lambda _, w: sg.whiten_moment(np.ones(2), w),
        lambda *_: sg.whiten_moment(MOMENT, np.eye(E)),
    ],
    "decompose": [
        lambda *_: sg.decompose(COMPLEX),
        lambda *_: sg.decompose([1.0, 2.0]),
        lambda *_: sg.decompose(GRADIENT * np.nan),
        lambda *_: sg.decompose("gradient"),
    ],
    "memory_curve": [
        lambda *_: sg.memory_curve(COMPLEX),
        lambda *_: sg.memory_curve(SIGMA),
    ],
    "coherence": [
        lambda *_: sg.coherence(COMPLEX, MOMENT),
        lambda *_: sg.coherence(GRADIENT, MOMENT[0]),
        lambda *_: sg.coherence(9 * GRADIENT, MOMENT),
    ],
    "fit_decay": [
        lambda *_: sg.fit_decay([1.0, 0.5]),
        lambda *_: sg.fit_decay(["a"]),
    ],
    "compare_decays": [lambda *_: sg.compare_decays([1.0, 0.5, 0.2, 0.1])],
    "stretch_curves": [
        lambda *_: sg.stretch_curves(xr.Dataset(), np.eye(E)),
        lambda *_: sg.stretch_curves(xr.Dataset(), EMBEDDING),
    ],
    "compare_memory": [
        lambda *_: sg.compare_memory([], []),
        lambda *_: sg.compare_memory(SIGMA, SIGMA),
        lambda *_: sg.compare_memory(GRADIENT, GRADIENT),
    ],
    "property_direction": [
        lambda _, w: sg.property_direction([[1.0, 2.0]], [[1.0, 2.0]], w),
        lambda _, w: sg.property_direction([["a"]], [[1.0, 2.0]], w),
        lambda *_: sg.property_direction([[1.0, 2.0]], [[2.0, 2.0]], np.eye(E)),
    ],
    "relative_memory": [
        lambda *_: sg.relative_memory(GRADIENT, [1.0, 1.0]),
        lambda *_: sg.relative_memory(COMPLEX, [1.0, 0.0]),
    ],
    "subspace_cosine": [
        lambda *_: sg.subspace_cosine(GRADIENT, [1.0, 0.0], 3),
        lambda *_: sg.subspace_cosine(GRADIENT, [1.0, 0.0], 1.0),
        lambda *_: sg.subspace_cosine(GRADIENT, [1.0, 1.0], 1),
        lambda *_: sg.subspace_cosine(COMPLEX, [1.0, 0.0], 1),
    ],
    "block_bootstrap": [
        lambda *_: sg.block_bootstrap(xr.Dataset(), sg.memory_curve, seed=0),
    ],
    "shuffled": [
        lambda *_: sg.shuffled(IDS / 2, seed=0),
        lambda *_: sg.shuffled(IDS.reshape(1, 2, 3), seed=0),
        lambda *_: sg.shuffled(IDS, seed=0, keep=IDS > 2),
    ],
    "plot_memory": [lambda *_: sg.plot_memory(GRADIENT)],
    "plot_selectivity": [
        lambda *_: sg.plot_selectivity(
            xr.Dataset({"selectivity": ("x", [1.0]), "selectivity_5": ("x", [1.0])})
        )
    ],
    "plot_coherence": [lambda *_: sg.plot_coherence(xr.DataArray(GRADIENT))],
    "plot_sentence": [
        lambda *_: sg.plot_sentence(SIGMA, ["a"]),
        lambda *_: sg.plot_sentence(np.ones((2, 3)), ["a", "b"]),
    ],
}


def test_every_public_function_is_tried():
    assert {*FAULTS} | {"Whitening"} == {*sg.__all__}


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, k) for name, faults in FAULTS.items() for k in range(len(faults))],
)
def test_an_error_names_the_function_that_was_called(
    model, whitening, closed_figures, name, number
):
    with pytest.raises(ValueError) as caught:
        FAULTS[name][number](model, whitening)
    said = str(caught.value)
    assert said.startswith(f"{name}: "), said
    assert "\n" not in said and len(said) < 1000


@pytest.mark.parametrize("function", [sg.mean_state_gradients, sg.type_gradients])
def test_gradients_that_are_not_finite_are_named_while_they_come(model, function):
    weights = model.get_weights()
    try:
        model.set_weights([np.full_like(one, np.nan) for one in weights])
        with pytest.raises(FloatingPointError, match=f"^{function.__name__}: "):
            list(function(model, IDS, max_delay=1))
    finally:
        model.set_weights(weights)


class Loud:
    """Something whose repr has lines."""

    def __repr__(self):
        return "one\ntwo"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7"),
        ([1, "a", None], "[1, 'a', None]"),
        ({"b": 1, "a": [2]}, "{'b': 1, 'a': [2]}"),
        (Loud(), "one two"),
        (b"ab", "b'ab'"),
    ],
)
def test_a_value_is_shown_as_it_is(value, shown):
    from state_gradients.foundation.checks import short

    assert short(value) == shown


class Counted(list):
    """A list that knows how many of its entries were read."""

    n_read = 0

    def __iter__(self):
        for entry in super().__iter__():
            self.n_read += 1
            yield entry

    def __repr__(self):
        return f"[{', '.join(map(repr, self))}]"


def test_of_a_gigantic_argument_no_more_is_read_than_is_shown(model):
    from state_gradients.foundation.checks import short

    gigantic = Counted(range(10**6))
    for nested in (gigantic, {"a": gigantic}, (gigantic, gigantic)):
        gigantic.n_read = 0
        assert short(nested).endswith(" ...")
        assert 0 < gigantic.n_read < 1000
    for value in ("x" * 10**9, b"x" * 10**9, bytearray(10**8)):
        assert len(short(value)) == 80
    for name in ("layer", "state", "max_delay", "dtype", "engine"):
        gigantic.n_read = 0
        options = {"max_delay": 1} | {name: gigantic}
        with pytest.raises(ValueError, match=r"^mean_state_gradients: .* \.\.\."):
            sg.mean_state_gradients(model, IDS, **options)
        assert gigantic.n_read < 1000
