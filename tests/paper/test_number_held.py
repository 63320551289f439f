import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp

from state_gradients.foundation import settings
from state_gradients.paper.grammar import needs, number, study, swaps
from state_gradients.paper.language import tags
from state_gradients.text.grammar import rules, truth

N_TYPES = len(truth.vocabulary())
LONGEST = 9  # delays of the samples below: a verb 6 words on, and 3 behind it


def model_of(seed=0, **changes):
    from state_gradients.models.language_model import build_language_model

    config = settings.Model(**({"units": 5, "embedding_size": 4} | changes))
    return build_language_model(config, N_TYPES, seed=seed)


@pytest.fixture(scope="module")
def text():
    return truth.generate(12_000, seed=3)


def test_subjects_have_one_verb_and_nothing_else(text):
    positions, distance = number.subjects(text)
    assert len(positions) > 500
    dependents = {}
    for k, c in enumerate(text.controller):
        dependents.setdefault(c, []).append(k)
    expected = {
        c: ks[0] - c
        for c, ks in dependents.items()
        if c >= 0 and len(ks) == 1 and text.tag[c] in ("NN", "NNS")
    }
    assert dict(zip(positions, distance, strict=True)) == expected


def test_number_direction_is_that_of_the_means_of_nouns(rng):
    table = rng.normal(size=(N_TYPES, 6))
    index = truth.vocabulary().index
    shift = np.array([0, 3.0, 0, 0, 0, 0])
    for word in rules.LEXICON["noun.NN"]:
        table[index[word]] = table[index[word]] * 0.01 + shift
    for word in rules.LEXICON["noun.NNS"]:
        table[index[word]] = table[index[word]] * 0.01 - shift
    direction = number.number_direction(table)
    whitening = number.fit_whitening(table)
    step = whitening.Z @ shift
    assert direction.values @ step / np.linalg.norm(step) > 0.999


def lstm_states(weights, x):
    """Hidden states, cells and forget gates after inputs (row, time, embedding).

    z = W^T x + U^T h + b,  c = f c + i tanh(z_c),  h = o tanh(c)
    """
    kernel, recurrent, bias = (
        weights[f"recurrent_1.{name}"].astype(np.float64)
        for name in ("kernel", "recurrent_kernel", "bias")
    )
    cell = hidden = np.zeros((len(x), len(recurrent)))
    states = []
    for step in x.swapaxes(0, 1):
        z = np.split(step @ kernel + hidden @ recurrent + bias, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-z[k])) for k in (0, 1, 3))
        cell = f * cell + i * np.tanh(z[2])
        hidden = o * np.tanh(cell)
        states.append((hidden, cell, f))
    return [np.stack(each, axis=1) for each in zip(*states, strict=True)]


def gradients(named, ids, positions, steps, max_delay):
    """ds_{t+tau}/dg_t of each position by central differences, g = D^-1 e."""
    size, context = 1e-4, 30  # after so many tokens the state has forgotten: f < 0.6
    inputs = named["embedding"].astype(np.float64)[ids]
    for t in positions:
        begin = max(t - context, 0)
        moved = inputs[None, begin : t + max_delay + 1].repeat(2 * len(steps), axis=0)
        moved[:, t - begin] += size * np.concatenate([steps, -steps])
        forward, back = np.split(lstm_states(named, moved)[1][:, t - begin :], 2)
        yield (forward - back).transpose(1, 2, 0) / (2 * size)


def mean_gradient(*of):
    return np.mean([*gradients(*of)], axis=0)  # (delay, state, direction)


def test_number_memory_equals_central_differences_of_each_subject():
    from state_gradients.models.language_model import weights

    model, max_delay = model_of(seed=2, initial_range=0.8), 6
    text = truth.generate(2_600, seed=8)
    found = number.number_memory(
        model, text, distances=[1, 4], max_delay=max_delay, dtype="float64"
    )
    named = weights(model)
    whitening = number.fit_whitening(named["embedding"])
    direction = number.number_direction(named["embedding"]).values
    positions, distance = number.subjects(text)
    for wanted in (1, 4):
        chosen, measured = positions[distance == wanted], found.sel(distance=wanted)
        each = gradients(named, text.ids, chosen, whitening.D.T, max_delay)
        each = np.array([*each])  # (subject, delay, state, embedding)
        gradient = each.mean(axis=0)
        _, s, vt = np.linalg.svd(gradient)
        moment = (each.swapaxes(-1, -2) @ each).mean(axis=0)
        squares = direction @ moment @ direction / np.linalg.eigvalsh(moment)[:, -1]
        response = np.linalg.norm(gradient @ direction, axis=1)
        # What stood before the context moves the state by 0.6^30 = 2e-7; truncation is
        # of order size^2 = 1e-8
        for name, expected in {
            "response": response,
            "memory": s[:, 0],
            "relative_memory": response / s[:, 0],
            "chance": np.sqrt((s**2).sum(axis=1) / 4) / s[:, 0],
            "rms_relative_memory": np.sqrt(squares),
            "v1_cosine": np.abs(vt[:, 0] @ direction),
        }.items():
            np.testing.assert_allclose(measured[name], expected, rtol=1e-4)
        assert measured["n_subjects"] == len(chosen)


def test_number_memory_refuses_distances_without_subjects(text):
    with pytest.raises(ValueError, match=r"needs 20 subjects, received \{1: .*, 70: 0"):
        number.number_memory(model_of(), text, distances=[1, 70], max_delay=3)


def test_a_noun_is_swapped_for_its_other_number_and_for_another_of_its_own(rng):
    index, tokens = truth.vocabulary().index, truth.vocabulary().tokens
    drawn = [swaps._instead(index["child"], rng) for _ in range(300)]
    assert {tokens[other] for other, _ in drawn} == {"children"}
    assert {tokens[k] for _, k in drawn} == {*rules.LEXICON["noun.NN"]} - {"child"}
    other, another = swaps._instead(index["wolves"], rng)
    assert tokens[other] == "wolf"
    assert tokens[another] in rules.LEXICON["noun.NNS"]


def test_curves_are_aligned_at_the_verb():
    delay = np.arange(6)
    found = xr.Dataset(
        {
            "memory": (("distance", "delay"), 10 * np.array([[1], [3]]) + delay),
            "n_subjects": ("distance", [7, 8]),
        },
        coords={"distance": [1, 3], "delay": delay},
    )
    aligned = number.around_the_verb(found, before=2, after=3)
    nan = np.nan
    assert aligned["memory"].dims == ("distance", "offset")
    np.testing.assert_array_equal(aligned["offset"], [-2, -1, 0, 1, 2, 3])
    np.testing.assert_array_equal(
        aligned["memory"], [[nan, 10, 11, 12, 13, 14], [31, 32, 33, 34, 35, nan]]
    )
    np.testing.assert_array_equal(aligned["n_subjects"], [7, 8])


@pytest.fixture(scope="module")
def swapped():
    """A random network, a short text, and subjects of it that are swapped."""
    from state_gradients.engine.network import read_network
    from state_gradients.models.language_model import weights

    model = model_of(seed=2, initial_range=0.8)
    text = truth.generate(900, seed=8)
    places, distance, instead = swaps.choose(
        text, distances=[4, 6], n=5, longest=LONGEST, seed=4
    )
    named = {name: array.astype(np.float64) for name, array in weights(model).items()}
    sample = swaps.Sample(
        read_network(model, dtype="float64"),
        (named["logits.kernel"], named["logits.bias"]),
        text.ids,
        places,
        distance,
        instead,
        longest=LONGEST,
    )
    return named, text, places, distance, instead, sample


def again(swapped, swap=None, scale=1.0, extra=0):
    """Run the whole text again for each place, its noun moved: from the place on.

    Returns hidden states, cells and forget gates, (place, delay, units) each.
    """
    named, text, places, _, instead, _ = swapped
    table = named["embedding"]
    x = table[text.ids][None].repeat(len(places), axis=0)
    row = np.arange(len(places))
    if swap is not None:
        x[row, places] += scale * (table[instead[swap]] - table[text.ids[places]])
    x[row, places] += extra
    states = lstm_states(named, x)
    later = places[:, None] + np.arange(LONGEST + 1)
    return [each[row[:, None], later] for each in states]


def odds(swapped, hidden):
    """ln p(singular verbs) - ln p(plural verbs) before each place's verb."""
    named, _, _, distance, *_ = swapped
    logits = hidden[np.arange(len(distance)), distance - 1] @ named["logits.kernel"]
    logits = logits + named["logits.bias"]
    singular, plural = truth.number_pairs().T
    return logsumexp(logits[:, singular], axis=1) - logsumexp(logits[:, plural], axis=1)


def test_subjects_to_swap_have_their_verb_at_the_distance(swapped):
    _, text, places, distance, instead, _ = swapped
    positions, far = number.subjects(text)
    known = dict(zip(positions, far, strict=True))
    assert [known[place] for place in places] == distance.tolist()
    assert np.bincount(distance, minlength=7)[[4, 6]].tolist() == [5, 5]
    assert places.max() + LONGEST < len(text.ids)
    shown = dict(zip(text.ids, text.number, strict=True))
    for noun, (other, another) in zip(text.ids[places], instead.T, strict=True):
        assert shown[noun] == shown.get(another, shown[noun]) != shown.get(other)


def test_whole_swaps_equal_running_the_text_again(swapped):
    *_, distance, _, sample = swapped
    found = swaps.whole_swaps(sample, seed=1)
    cells = again(swapped)[1]
    row = np.arange(len(distance))
    at_verb = []
    for k, swap in enumerate(("number", "another noun")):
        change = np.linalg.norm(again(swapped, k)[1] - cells, axis=-1)
        for wanted in (4, 6):
            np.testing.assert_allclose(
                found["change"].sel(swap=swap, distance=wanted),
                change[distance == wanted].mean(axis=0),
                rtol=1e-6,  # weights are float32, all else float64
            )
        first, before, behind = (
            change[row, d] for d in (1 + 0 * distance, distance - 1, distance + 3)
        )
        at_verb.append(before)
        measured = found.sel(swap=swap, end="estimate")
        assert measured["held"] == pytest.approx(before.sum() / first.sum(), rel=1e-6)
        assert measured["left"] == pytest.approx(behind.sum() / before.sum(), rel=1e-6)
        far = distance == 6
        assert measured["held_by_distance"].sel(distance=6) == pytest.approx(
            before[far].sum() / first[far].sum(), rel=1e-6
        )
    excess = at_verb[0].sum() / at_verb[1].sum()
    assert found["excess"].sel(end="estimate") == pytest.approx(excess, rel=1e-6)
    np.testing.assert_array_equal(found["n_swapped"], [5, 5])


def test_partial_swaps_equal_running_the_text_again(swapped):
    *_, distance, _, sample = swapped
    found = swaps.partial_swaps(sample, seed=1)
    hidden, cells, _ = again(swapped)
    own, row = odds(swapped, hidden), np.arange(len(distance))
    for k, swap in enumerate(("number", "another noun")):
        at_verb, in_odds = [], []
        for scale in (0.001, 0.25, 1.0):
            moved, moved_cells, _ = again(swapped, k, scale)
            change = np.linalg.norm(moved_cells - cells, axis=-1)
            measured = found.sel(swap=swap, scale=scale)
            expected = [change[:, 0], change[:, 1]]
            expected += [change[row, distance - 1], change[row, distance + 3]]
            np.testing.assert_allclose(
                measured["step_change"], np.mean(expected, axis=1), rtol=1e-6
            )
            in_odds.append(np.abs(odds(swapped, moved) - own))
            at_verb.append(expected[2])
            assert measured["step_odds"] == pytest.approx(in_odds[-1].mean(), rel=1e-5)
        for name, sizes in (("seen", at_verb), ("seen_in_odds", in_odds)):
            ratio = sizes[0].sum() / 0.001 / sizes[-1].sum()
            assert found[name].sel(swap=swap, end="estimate") == pytest.approx(
                ratio, rel=1e-5
            )


def test_carriers_are_the_units_that_change(swapped):
    named, _, _, distance, _, sample = swapped
    weights = xr.Dataset(
        {
            name: ([f"{name}.{k}" for k in range(array.ndim)], array)
            for name, array in named.items()
        }
    )
    found = swaps.carriers(sample, weights)
    _, cells, forget = again(swapped)
    change = again(swapped, 0)[1] - cells
    square = sum(change[k, d - 1] ** 2 for k, d in enumerate(distance))
    np.testing.assert_allclose(found["share_of_unit"], square / square.sum(), rtol=1e-6)
    between = [forget[k, t] for k, d in enumerate(distance) for t in range(1, d)]
    np.testing.assert_allclose(found["forget_before"], np.mean(between, axis=0))
    at_verb = [forget[k, d] for k, d in enumerate(distance)]
    np.testing.assert_allclose(found["forget_at"], np.mean(at_verb, axis=0))


def test_odds_gradient_is_that_of_whitened_steps(swapped):
    named, *_, sample = swapped
    whitening = number.fit_whitening(named["embedding"])
    found = swaps.odds_gradient(sample, whitening)["odds_gradient"]
    size = 1e-3  # errs by its square
    for k, step in enumerate(whitening.D.T):
        ahead, behind = (
            odds(swapped, again(swapped, extra=sign * size * step)[0])
            for sign in (1, -1)
        )
        expected = (ahead - behind).mean() / (2 * size)
        assert found[k] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_ratios_of_sums_have_the_spread_of_subjects(rng):
    below = rng.uniform(1, 2, size=400)
    estimate, lower, upper = swaps.ratio(3 * below, below, seed=1)
    np.testing.assert_allclose([estimate, lower, upper], 3)
    above = 3 * below + rng.normal(size=400)
    estimate, lower, upper = swaps.ratio(above, below, seed=1)
    assert estimate == above.sum() / below.sum()
    # the delta method: sd of (above - r below) / (sqrt(n) mean of below)
    error = np.std(above - estimate * below) / np.sqrt(400) / below.mean()
    # the ends of 2,000 draws are known to 4 % of their width
    np.testing.assert_allclose(
        [lower, upper], estimate + error * np.array([-1.96, 1.96]), atol=0.2 * error
    )


def test_distances_of_too_few_subjects_are_left_out_and_none_refused(text):
    _, far = number.subjects(text)
    expected = [d for d in study.DISTANCES if (far == d).sum() >= number.LEAST]
    assert study.enough(text) == expected
    assert expected and len(expected) < len(study.DISTANCES)
    with pytest.raises(
        ValueError, match="must have 20 subjects with one verb, received"
    ):
        study.enough(truth.generate(300, seed=1))


def test_needs_are_those_of_the_truth(text):
    found = needs.needed(text).set_coords("property")
    far = {name: [] for name in found["property"].values}
    for k in range(len(text.ids)):
        depends = [
            j for j in range(k, min(k + 60, len(text.ids))) if text.controller[j] == k
        ]
        verbs = [j - k for j in depends if text.tag[j] in ("VBZ", "VBP", "VBD")]
        pronouns = [j - k for j in depends if text.tag[j].startswith("PRP")]
        if text.tag[k] in ("NN", "NNS") and not text.genitive[k]:
            far["singular - plural"] += verbs[-1:]
        if text.tag[k] == "NNP" and not text.genitive[k]:
            far["common - proper"] += [max(verbs + pronouns)] if depends else []
            far["feminine - masculine"] += pronouns[-1:]
        if text.genitive[k]:
            behind = k + 1
            while text.tag[behind] not in ("NN", "NNS") or text.genitive[behind]:
                behind += 1
            far["genitive - non-genitive"].append(behind - k)
        if text.tag[k] in ("JJR", "JJS"):
            degree = "comparative" if text.tag[k] == "JJR" else "superlative"
            far[f"base - {degree}"] += [j - k for j in depends]
        takes = np.flatnonzero(text.tense_controller == k)
        if text.tag[k] in ("VBZ", "VBP", "VBD") and len(takes):
            far["present - past"].append(takes[-1] - k)
    for name, steps in far.items():
        measured = found["needed_for"].sel(property=name)
        if steps:
            assert measured == pytest.approx(np.mean(steps)), name
        else:
            assert name in ("3rd - non-3rd", "present - past participle")
            assert np.isnan(measured)
    assert found["needed_by"].sel(property="genitive - non-genitive") == 1


def test_memories_of_properties_equal_central_differences():
    from state_gradients.models.language_model import weights

    model, max_delay = model_of(seed=2, initial_range=0.8), 3
    text = truth.generate(1_500, seed=8)
    tokens = truth.vocabulary().tokens
    names, tag = np.unique(text.tag, return_inverse=True)
    table = np.zeros((len(names), N_TYPES), int)
    np.add.at(table, (tag, text.ids), 1)
    seen = xr.Dataset(
        {"n_tagged": (("tag", "vocabulary"), table[names != ""])},
        coords={"tag": names[names != ""], "vocabulary": list(tokens)},
    )
    found = needs.memories(model, text, seen, max_delay=max_delay)
    named = weights(model)
    whitening = number.fit_whitening(named["embedding"])
    adjectives = np.flatnonzero(np.isin(text.tag, tags.CLASSES["Adj"]))
    adjectives = adjectives[adjectives < len(text.ids) - max_delay]
    gradient = mean_gradient(named, text.ids, adjectives, whitening.D.T, max_delay)
    s = np.linalg.svd(gradient, compute_uv=False)
    white = (named["embedding"] - whitening.mean) @ whitening.Z.T
    base, comparative = (
        white[[k for k in range(N_TYPES) if seen["n_tagged"].sel(tag=x)[k] > 0]]
        for x in ("JJ", "JJR")
    )
    direction = base.mean(axis=0) - comparative.mean(axis=0)
    direction /= np.linalg.norm(direction)
    expected = np.linalg.norm(gradient @ direction, axis=1) / s[:, 0]
    measured = found.sel(property="base - comparative")
    # float32 chains, and the last adjectives, which have no later words, left out
    np.testing.assert_allclose(measured["property_memory"], expected, rtol=2e-2)
    np.testing.assert_allclose(
        measured["property_chance"],
        np.sqrt((s**2).sum(axis=1) / 4) / s[:, 0],
        rtol=2e-2,
    )
    men, women = (
        white[[tokens.index(word) for word in rules.LEXICON[f"{who}.NNP"]]].mean(axis=0)
        for who in ("man", "woman")
    )
    gender = needs.directions(white, seen).sel(property="feminine - masculine")
    cosine = gender.values @ (women - men) / np.linalg.norm(women - men)
    assert cosine == pytest.approx(1)
