"""Groups and positions of any kind are what they say by hand, or refused by name."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from state_gradients.engine.texts import read_texts

MANY = hypothesis_settings(hypothesis_settings.get_profile("many"))
N_TYPES = 4
LENGTHS = st.lists(st.integers(1, 4), min_size=1, max_size=3)
DTYPES = st.sampled_from([bool, bool, bool, np.int8, np.float32, np.complex64, "U1"])
AXES = [("group", "vocabulary"), ("vocabulary", "group"), ("group", "time")]
# mostly what fits, so that much is read
SIDES = st.sampled_from([N_TYPES, N_TYPES, N_TYPES, 0, 1, 2, 3])


def network(masks):
    return SimpleNamespace(table=np.zeros((N_TYPES, 2)), masks=masks)


def texts_of(lengths):
    rng = np.random.default_rng(sum(lengths))
    return [rng.integers(1, N_TYPES, length) for length in lengths]


@st.composite
def arrays(draw, n_dims):
    shape = draw(st.lists(SIDES, min_size=n_dims, max_size=n_dims))
    dtype = draw(DTYPES)
    elements = st.sampled_from("01") if dtype == "U1" else st.integers(0, 1)
    return draw(hnp.arrays(dtype, shape, elements=elements.map(np.dtype(dtype).type)))


def members(texts, **asked):
    """The groups of each input, or None where it is refused in this project's words."""
    try:
        read = read_texts(texts, network(masks=False), max_delay=0, **asked)
    except ValueError as error:
        assert str(error).startswith("mean_state_gradients: `"), error
        assert len(str(error)) < 500
        return None
    assert [len(one) for one in read.members] == [len(text) for text in texts]
    return [[set(groups) for groups in of_text] for of_text in read.members]


@MANY
@given(
    groups=st.integers(1, 3).flatmap(arrays),
    lengths=LENGTHS,
    axes=st.none() | st.sampled_from(AXES),
)
def test_groups_are_those_of_each_type_or_refused(groups, lengths, axes):
    texts = texts_of(lengths)
    named = axes is not None and groups.ndim == 2
    found = members(texts, groups=xr.DataArray(groups, dims=axes) if named else groups)
    by_group = groups.T if named and axes[0] == "vocabulary" else groups
    fits = by_group.ndim == 2 and by_group.shape[1] == N_TYPES
    fits = fits and not (named and "time" in axes)
    if not (fits and groups.dtype == bool):
        assert found is None
        return
    for text, of_text in zip(texts, found, strict=True):
        for token, read in zip(text, of_text, strict=True):
            assert read == {g for g, row in enumerate(by_group) if row[token]}


@MANY
@given(data=st.data(), lengths=LENGTHS)
def test_positions_are_those_of_each_text_or_refused(data, lengths):
    texts = texts_of(lengths)
    n_groups = data.draw(st.integers(1, 3))
    shapes = [(n_groups, length) for length in lengths]
    if data.draw(st.booleans()):  # one that does not fit, or one text too few
        place = data.draw(st.integers(0, len(shapes) - 1))
        wrong = data.draw(st.sampled_from(["more", "groups", "axis", "fewer", "dtype"]))
    else:
        place, wrong = 0, None
    positions = []
    for number, (n, length) in enumerate(shapes):
        here = number == place
        shape = (n, length + 1) if here and wrong == "more" else (n, length)
        shape = (n + 1, length) if here and wrong == "groups" else shape
        shape = (length,) if here and wrong == "axis" else shape
        dtype = np.int8 if here and wrong == "dtype" else bool
        elements = st.integers(0, 1).map(np.dtype(dtype).type)
        positions.append(data.draw(hnp.arrays(dtype, shape, elements=elements)))
    if wrong == "fewer":
        positions.pop()
    found = members(texts, positions=positions)
    if wrong == "groups" and len(shapes) == 1:
        n_groups, wrong = n_groups + 1, None  # as many as there are
    if wrong is not None:
        assert found is None
        return
    for mask, of_text in zip(positions, found, strict=True):
        assert of_text == [{*np.flatnonzero(column)} for column in mask.T]


@MANY
@given(data=st.data(), lengths=LENGTHS)
def test_what_is_masked_or_padding_is_in_no_group(data, lengths):
    texts = [
        data.draw(hnp.arrays(np.int32, length, elements=st.integers(0, N_TYPES - 1)))
        for length in lengths
    ]
    groups = data.draw(hnp.arrays(bool, (2, N_TYPES)))
    padding = data.draw(st.integers(1, N_TYPES - 1))
    of_type = [{*np.flatnonzero(column)} for column in groups.T]
    expected = [
        [set() if token == padding else of_type[token] for token in text if token]
        for text in texts
    ]
    asked = {"groups": groups, "padding": padding, "max_delay": 0}
    if not any(expected):
        with pytest.raises(ValueError, match="masks the id 0"):
            read_texts(texts, network(masks=True), **asked)
        return
    read = read_texts(texts, network(masks=True), **asked)
    assert [[set(x) for x in one] for one in read.members] == [e for e in expected if e]
    assert [list(ids) for ids in read.ids] == [
        [token for token in text if token] for text in texts if any(text)
    ]
