"""Fixed points of a network whose points are known, and memory by brute force."""

import keras
import numpy as np
import pytest
import xarray as xr

from state_gradients import cli
from state_gradients.engine.network import read_network
from state_gradients.foundation import settings
from state_gradients.paper import stages
from state_gradients.paper.flipflop import (
    bounds,
    fixed_points,
    memory,
    network,
    study,
)
from state_gradients.project import artifacts
from state_gradients.text import flipflop

CORPUS = settings.Corpus(name="flip-flop", vocabulary_size=None)
IDENTITY = np.eye(3), np.zeros(3)


def gru(seed=1, units=6, scale=20):
    config = settings.Model(cell="gru", units=units)
    model = network.build_network(config, seed=seed)
    for variable in model.trainable_variables:
        variable.assign(variable.value * scale)  # uniform(-1, 1): gates that move
    return model


def cell_of(model):
    return read_network(model, dtype="float64", words=False).cells[0]


@pytest.fixture
def bistable():
    """Three units that do not know of each other, h' = tanh(2 h): each has 3 points."""
    rnn = keras.layers.SimpleRNN(3, name="recurrent_1", return_sequences=True)
    model = keras.Sequential([keras.Input((None, 3)), rnn])
    rnn.cell.kernel.assign(np.eye(3))
    rnn.cell.recurrent_kernel.assign(2 * np.eye(3))
    rnn.cell.bias.assign(np.zeros(3))
    return cell_of(model)


def test_the_points_of_three_bits_are_the_cube_and_its_saddles(bistable, monkeypatch):
    monkeypatch.setattr(fixed_points, "N_STARTS", 400)
    states = np.random.default_rng(0).uniform(-1, 1, size=(500, 3))
    starts = fixed_points.sampled_starts(states, seed=1)
    found = fixed_points.find(bistable, IDENTITY, starts)
    assert np.bincount(found["n_unstable"]).tolist() == [8, 12, 6, 1]
    rest = 0.9575040240772687  # tanh(2 h) = h
    sizes = np.abs(found["point"].values)
    assert ((sizes < 1e-6) | (np.abs(sizes - rest) < 1e-6)).all()
    np.testing.assert_array_equal(found["said"], found["point"])
    # dF/dh is diagonal: 2 (1 - h^2), that is 2 at 0
    expected = np.sort(2 * (1 - found["point"].values ** 2), axis=1)[:, ::-1]
    np.testing.assert_allclose(found["eigenvalue_size"], expected, atol=1e-5)
    assert bounds.memories(found)[0] == {
        (a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)
    }
    assert bounds.has_eight_memories(found)
    n = int(found["n_ended"].sum() + found["n_slow"] + found["n_beyond"])
    assert n == int(found["n_starts"]) == 400
    for number in range(27):
        ends = found["leads_to"].values[number]
        if found["n_unstable"][number] != 1:
            assert (ends == fixed_points.NOWHERE).all()
            continue
        saddle, *corners = (found["point"].values[k] for k in (number, *ends))
        free = np.abs(saddle) < 1e-6
        for corner in corners:  # the other two bits are those of the saddle
            np.testing.assert_allclose(corner[~free], saddle[~free], atol=1e-6)
        assert corners[0][free] * corners[1][free] < 0


def test_a_point_where_no_state_can_be_is_left_out(bistable):
    starts = np.array([[0.9, 0.9, 0.9], [-0.9, 0.9, 0.9]])
    found = fixed_points.find(bistable, IDENTITY, starts)
    assert int(found["n_beyond"]) == 0
    model = gru()
    gate = model.get_layer("recurrent_1").cell.bias
    shut = np.zeros(gate.shape)
    shut[:6] = 40  # z = 1 - 4e-18: any state rests, to double precision
    gate.assign(shut)
    cell = cell_of(model)
    found = fixed_points.find(cell, (np.ones((6, 3)), np.zeros(3)), np.eye(6)[:2] * 0.5)
    assert found.sizes["fixed_point"] == 2
    with pytest.raises(ValueError, match="one of 1 starts at least"):
        fixed_points.find(cell, (np.ones((6, 3)), np.zeros(3)), 3 * np.eye(6)[:1])


@pytest.mark.parametrize("kind", ["gru", "rnn"])
def test_the_jacobian_matches_central_differences(kind, rng):
    config = settings.Model(cell=kind, units=5)
    model = network.build_network(config, seed=2)
    for variable in model.trainable_variables:
        variable.assign(variable.value * 20)
    cell, h, step = cell_of(model), rng.uniform(-0.9, 0.9, 5), 1e-6
    numeric = [
        (fixed_points.step(cell, h + d) - fixed_points.step(cell, h - d)) / (2 * step)
        for d in step * np.eye(5)
    ]
    # O(step^2) truncation and O(eps / step) ~ 1e-10 round-off
    np.testing.assert_allclose(
        fixed_points.jacobian(cell, h), np.transpose(numeric), rtol=0, atol=1e-8
    )
    said = model.get_layer("recurrent_1")(np.zeros((1, 1, 3)), initial_state=h[None])
    np.testing.assert_allclose(
        fixed_points.step(cell, h), np.asarray(said)[0, 0], rtol=0, atol=1e-6
    )


def test_inputs_are_in_the_group_of_their_next_pulse():
    inputs = flipflop.test_trials(CORPUS).inputs[:3]
    places = memory.places_of(inputs, 85)
    steps = flipflop.steps_to_next(inputs)
    for group, channel, trial, time in np.argwhere(places):
        assert 0 < time < flipflop.TEST_STEPS - 85
        name, next_pulse = memory.GROUPS[group], steps[trial, time, channel]
        if name == memory.NO_PULSE:
            assert inputs[trial, time, channel] == 0 and next_pulse == 40
        else:
            assert inputs[trial, time, channel] != 0 and next_pulse == int(name)
    within = (inputs != 0)[:, 1 : flipflop.TEST_STEPS - 85]
    pulses = places[:-1].sum()
    followed = steps[:, 1 : flipflop.TEST_STEPS - 85][within] != flipflop.NONE
    assert pulses == followed.sum()


def test_gradients_and_turned_pulses_match_brute_force():
    model, max_delay = gru(), 4
    inputs = flipflop.test_trials(CORPUS).inputs[:6]
    places = memory.places_of(inputs, max_delay)
    places[..., 300:] = False
    cell = cell_of(model)
    readout = [np.asarray(w, float) for w in model.get_layer("readout").weights]
    found = memory.gradients(model, readout[0], inputs, places, max_delay=max_delay)
    turned = memory.turned(cell, readout, inputs, places, max_delay=max_delay, seed=0)
    group, channel = 1, 2
    assert 0 < found["n_samples"][group, channel] <= memory.N_PLACES
    squares, means, changes, bits = [], [], [], []
    start, step = np.zeros((1, 6)), 1e-6

    def run(x):
        return cell.run(x[:, None].astype(float), (start,))[0][:, 0]

    for trial, time in np.argwhere(places[group, channel]):
        one = inputs[trial].astype(float)
        bump = np.zeros_like(one)
        bump[time, channel] = step
        span = slice(time, time + max_delay + 1)
        column = ((run(one + bump) - run(one - bump)) / (2 * step))[span]
        squares.append((column**2).sum(axis=1))
        means.append(column)
        other = one.copy()
        other[time, channel] *= -1
        before, after = run(one)[span], run(other)[span]
        changes.append(np.linalg.norm(after - before, axis=1) / 2)
        said = [
            h @ readout[0][:, channel] + readout[1][channel] for h in (before, after)
        ]
        bits.append(said[0] * said[1] < 0)
    at = {"group": memory.GROUPS[group]}
    mean = np.mean(means, axis=0)
    expected = {
        "rms_memory": np.sqrt(np.mean(squares, axis=0)),
        "memory": np.linalg.norm(mean, axis=1),
        "said_memory": mean @ readout[0][:, channel],
    }
    for name, values in expected.items():  # float32 chains
        measured = found[name].sel(at)[channel]
        np.testing.assert_allclose(measured, values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        turned["turned"].sel(at)[channel], np.mean(changes, axis=0), rtol=1e-6
    )
    np.testing.assert_allclose(
        turned["bit_turned"].sel(at)[channel], np.mean(bits, axis=0), rtol=1e-6
    )
    whole = memory.over_channels(found)
    np.testing.assert_allclose(
        whole["memory"].sel(at), found["memory"].sel(at).mean("channel"), rtol=1e-6
    )
    assert whole["n_samples"].dims == ("group", "channel")


def test_a_step_without_a_pulse_is_disturbed_by_a_tenth():
    model, max_delay = gru(), 3
    inputs = flipflop.test_trials(CORPUS).inputs[:6]
    places = memory.places_of(inputs, max_delay)
    trial, time = np.argwhere(places[-1, 0])[0]
    places[-1, 0] = False
    places[-1, 0, trial, time] = True
    cell = cell_of(model)
    readout = [np.asarray(w, float) for w in model.get_layer("readout").weights]
    found = memory.turned(cell, readout, inputs, places, max_delay=max_delay, seed=0)
    other = inputs.astype(float)
    other[trial, time, 0] = memory.DISTURBANCE
    before, after = (
        memory.states_of(cell, x)[time : time + max_delay + 1, trial]
        for x in (inputs, other)
    )
    expected = np.linalg.norm(after - before, axis=1) / memory.DISTURBANCE
    measured = found["turned"].sel(group=memory.NO_PULSE)[0]
    np.testing.assert_allclose(measured, expected, rtol=1e-5)
    assert int(found["n_turned"].sel(group=memory.NO_PULSE)[0]) == 1


def planted(held=1.0, left=0.05, other=0.01):
    """Curves that are level until the next pulse, and then at once at `left`."""
    delay = np.arange(91)
    rows = [np.where(delay <= gap, held ** (delay / 80), left) for gap in flipflop.GAPS]
    rows.append(np.full(91, other))
    curves = xr.DataArray(
        np.array(rows), dims=("group", "delay"), coords={"group": memory.GROUPS}
    ).assign_coords(delay=delay)
    said = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1.1)])
    return xr.Dataset(
        {
            "rms_memory": curves,
            "turned": curves,
            "said": (("fixed_point", "channel"), said),
            "n_unstable": ("fixed_point", np.zeros(8, int)),
        }
    )


def test_the_bounds_are_of_what_they_say():
    found = bounds.ratios(planted(held=0.3), "turned")
    assert found["held"] == pytest.approx(0.3 ** (78 / 80))
    # 5 steps after a pulse the most is left, 0.3^(4/80) of one: the ratio is largest
    # where least was there before, at the longest gap
    assert found["erased"] == pytest.approx(0.05 / 0.3 ** (79 / 80))
    assert found["nothing else"] == pytest.approx(0.01 / 0.3 ** (39 / 80))
    assert bounds.holds("held", 0.5) and not bounds.holds("held", 0.49)
    assert bounds.holds("erased", 0.1) and not bounds.holds("erased", 0.11)
    assert not bounds.holds("nothing else", 0.2)


def test_the_verdicts_are_told_for_each_run():
    table = bounds.judged({"a": planted(), "b": planted(held=0.3, other=0.9)})
    assert table["a"].str.endswith("holds").all()
    assert table["a"].tolist()[:3] == ["1, holds", "0.05, holds", "0.01, holds"]
    of_b = table["b"].str.split(", ").str[1].tolist()
    assert of_b == ["fails", "fails", "fails"] * 2 + ["holds", "holds"]
    assert table["b"].tolist()[-2:] == ["8, holds", "0.1, holds"]
    seven = planted().isel(fixed_point=slice(7))
    assert not bounds.has_eight_memories(seven)
    twice = planted()
    twice["said"][0] = twice["said"][1]
    assert not bounds.has_eight_memories(twice)


def test_the_network_learns_and_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(flipflop, "N_TRIALS", {"train": 256, "test": 4})
    experiment = settings.Experiment(
        name="mine",
        corpus=CORPUS,
        model=settings.Model(cell="gru", units=12),
        training=settings.Training(
            optimizer="adam",
            batch_size=16,
            num_steps=20,
            learning_rate=0.02,
            max_epochs=6,
        ),
    )
    learnt = network.train(experiment, progress=False)
    assert learnt["loss"][-1] < 0.6 * learnt["loss"][0]
    assert 0.6 < float(learnt["right"]) <= 1
    again = network.train(experiment, progress=False)
    np.testing.assert_allclose(again["loss"], learnt["loss"], rtol=1e-4)
    model = network.load_network(experiment, learnt)
    trials = flipflop.test_trials(CORPUS)
    error = ((network.said_by(model, trials.inputs) - trials.targets) ** 2).mean()
    assert float(learnt["error"]) == pytest.approx(float(error), rel=1e-5)


def test_delays_that_end_before_the_longest_gap_are_refused():
    experiment = settings.Experiment(
        name="mine",
        corpus=CORPUS,
        model=settings.Model(cell="gru"),
        training=settings.Training(optimizer="adam"),
        gradients=settings.Gradients(max_delay=81),
    )
    with pytest.raises(ValueError, match="reach beyond the longest gap"):
        study.study(experiment, None)


def test_a_network_of_words_has_no_such_stage(tmp_path):
    experiment = settings.Experiment(name="mine")
    with pytest.raises(ValueError, match="must be on the corpus flip-flop"):
        stages.run_flipflop(experiment, root=tmp_path)


@pytest.mark.parametrize("stage", sorted(stages.RUN.keys() - {"train", "flipflop"}))
def test_a_network_of_numbers_has_no_other_stages(stage, tmp_path):
    fits = {
        "corpus": CORPUS,
        "model": settings.Model(cell="gru"),
        "training": settings.Training(optimizer="adam"),
    }
    experiment = settings.Experiment(name="mine", **fits)
    with pytest.raises(ValueError, match="has the stages train and flipflop"):
        stages.RUN[stage](experiment, root=tmp_path)
    with pytest.raises(ValueError, match="kept of networks of words"):
        stages.run_train(experiment, root=tmp_path, keep=(1,))


def test_a_reader_inspects_the_kept_network_by_its_inputs(root, tmp_path, monkeypatch):
    """The command of the page: a model file, a file of pulses, and nothing else."""
    from typer.testing import CliRunner

    experiment = settings.load_experiment("flip-flop-gru-32", root=root)
    learnt = artifacts.load(experiment, "network", root=root)
    network.load_network(experiment, learnt).save(tmp_path / "flip-flop.keras")
    trials = flipflop.test_trials(experiment.corpus)
    np.save(tmp_path / "pulses.npy", trials.inputs[:4])
    monkeypatch.chdir(tmp_path)
    command = "inspect flip-flop.keras --inputs pulses.npy --max-delay 5"
    done = CliRunner().invoke(cli.app, command.split())
    assert done.exit_code == 0, done.output
    assert "inputs read as 4 trials" in done.stdout
    assert (tmp_path / "inspection-flip-flop" / "memory.png").is_file()
