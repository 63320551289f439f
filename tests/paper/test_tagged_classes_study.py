"""Parts of speech on a tagged text: against means of each class made one by one."""

import dataclasses
import zipfile

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import settings
from state_gradients.paper.language import tagged_classes
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts
from state_gradients.text import tagged
from state_gradients.text.corpora import FOLDER_VARIABLE, REGISTRY

PARAMS = """
baseline:
  corpus: {name: mac-morpho, vocabulary_size: 13}
  model: {units: 7, embedding_size: 3, initial_range: 0.8, dropout: 0}
  training: {batch_size: 2, num_steps: 8, max_epochs: 0}
  gradients: {max_delay: 3, blocks: null}
  language: {studies: [tagged-classes]}
experiments:
  mine: {}
  window: {gradients: {window: 8}}
  short: {gradients: {max_delay: 9}}
"""
# Words with their tags; `que` is of two classes, and the last word is read as <unk>.
LINES = (
    *("o_ART gato_N que_PRO-KS-REL dorme_V ._.", "Ana_NPROP diz_V que_KS sim_ADV ._."),
    *("o_ART gato_N vê_V a_ART Ana_NPROP ._.", "que_PRO-KS vê_V o_ART xyz{k}_N ?_?"),
)
LONGEST = 3
FEW = 6  # inputs that a class must have in these tests


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Forty documents of some of the lines, of which two are validated on."""
    rng = np.random.default_rng(0)
    path = tmp_path / "tagged" / "mine.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(40):
            lines = [LINES[k] for k in rng.integers(len(LINES), size=22)]
            lines = [one.format(k=f"{number}-{k}") for k, one in enumerate(lines)]
            text = "\n".join(" ".join(lines).split())
            archive.writestr(f"{number:02d}.txt", text.encode("latin-1"))
    source = dataclasses.replace(
        REGISTRY["mac-morpho"],
        archive="mine.zip",
        hashes={"mine.zip": f"documents:{tagged.digest(path, 'mac-morpho')}"},
    )
    monkeypatch.setitem(REGISTRY, "mac-morpho", source)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    monkeypatch.setattr(tagged_classes, "FEWEST", FEW)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def made(name):
    done = CliRunner().invoke(cli.app, ["reproduce", name, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    return artifacts.load(name, "tagged_classes")


def by_hand(name, text):
    """The class of every token of a decoded text: that of its neighbours, by rule."""
    fixed = {
        **{"o": "DET", "a": "DET", "gato": "NOUN", "dorme": "VERB", "diz": "VERB"},
        **{"vê": "VERB", "ana": "PROPN", "sim": "ADV", ".": "PUNCT", "?": "PUNCT"},
        **{"<eos>": "<eos>", "<unk>": "<unk>"},
    }
    found = []
    for k, word in enumerate(text):
        found.append(fixed.get(word) or ("CONJ" if text[k - 1] == "diz" else "PRON"))
    return np.array(found)


def exact(name, is_in, **options):
    """Memory of a mean over some tokens, and its root mean square, in float64."""
    subject = Subject(experiment=settings.load_experiment(name))
    means = mean_state_gradients(
        subject.model,
        subject.ids,
        max_delay=LONGEST,
        positions=is_in[None],
        second_moment=True,
        dtype="float64",
        **options,
    ).isel(group=0)
    D = fit_whitening(subject.encoder["embedding"]).D
    sigma = np.linalg.svd(means["state_gradient"].values @ D, compute_uv=False)
    moment = D.T @ means["second_moment"].values @ D
    return sigma[:, 0], sigma.sum(-1), np.sqrt(np.linalg.eigvalsh(moment)[:, -1])


def decoded(name):
    subject = Subject(experiment=settings.load_experiment(name))
    vocabulary = subject.text.vocabulary
    rate = 1e6 * vocabulary.counts / vocabulary.counts.sum()
    return vocabulary.decode(subject.ids), rate[subject.ids]


@pytest.mark.parametrize(("name", "options"), [("mine", {}), ("window", {"window": 8})])
def test_each_class_has_the_memory_of_its_own_mean(project, name, options):
    found = made(name)
    text, _ = decoded(name)
    classes = by_hand(name, text)
    words = ~np.isin(classes, ["PUNCT", "<eos>", "<unk>"])
    assert found["delay"].values.tolist() == [0, 1, 2, 3]
    assert int(found["n_tokens"]) == len(text)
    of_words = exact(name, words, **options)
    every = found["observed"].sel(band="all")
    seen = [g for g in np.unique(classes) if (classes == g).sum() >= FEW]
    assert {"NOUN", "VERB", "PRON", "CONJ", "<unk>"} <= set(seen)
    members = {"all words": words} | {g: classes == g for g in seen}
    for group, is_in in members.items():
        memory, total, rms = exact(name, is_in, **options)
        one = every.sel(group=group)
        # float32 chains, and kept in float32
        for quantity, expected in {
            "memory": memory,
            "total": total,
            "rms_memory": rms,
            "relative_memory": memory / of_words[0],
            "relative_rms_memory": rms / of_words[2],
        }.items():
            np.testing.assert_allclose(
                one.sel(quantity=quantity), expected, rtol=2e-5, err_msg=group
            )
        assert int(found["n_inputs"].sel(group=group, band="all")) == is_in.sum()
    known = every.isel(quantity=0, delay=0).dropna("group")["group"].values
    assert set(known) == {"all words", *seen}
    assert (found["lower"] <= found["upper"]).where(found["lower"].notnull(), 1).all()


def test_words_of_a_band_are_held_against_all_words_of_that_band(project, monkeypatch):
    monkeypatch.setattr(tagged_classes, "EDGES", (30_000, 90_000))
    found = made("mine")
    text, rate = decoded("mine")
    classes = by_hand("mine", text)
    words = ~np.isin(classes, ["PUNCT", "<eos>", "<unk>"])
    in_band = {
        "below 100": rate < 30_000,
        "100 to 1,000": (rate >= 30_000) & (rate < 90_000),
        "1,000 and more": rate >= 90_000,
    }
    compared = 0
    for band, is_in in in_band.items():
        of_all = exact("mine", words & is_in)[0] if (words & is_in).any() else None
        for group in np.unique(classes[words]):
            here = is_in & (classes == group)
            one = found.sel(band=band, group=group)
            assert int(one["n_inputs"]) == here.sum()
            assert int(one["n_types"]) == len({text[k] for k in np.flatnonzero(here)})
            values = one["observed"].sel(quantity="relative_memory")
            if here.sum() < FEW:
                assert np.isnan(values).all()
                continue
            memory = exact("mine", here)[0]
            np.testing.assert_allclose(values, memory / of_all, rtol=2e-5)
            frequency = np.exp(np.log(rate[here]).mean())
            np.testing.assert_allclose(one["frequency"], frequency, rtol=1e-6)
            compared += 1
    assert compared >= 4
    signs = found["observed"].sel(group=["PUNCT", "<eos>", "<unk>"], band=[*in_band])
    assert np.isnan(signs).all()  # of no band: a sign is no word


def test_unknown_words_are_no_class_but_are_counted_as_a_share_of_theirs(project):
    found = made("mine")
    text, _ = decoded("mine")
    nouns = (np.array(text) == "gato").sum()
    unknown = (np.array(text) == "<unk>").sum()
    assert unknown >= FEW
    share = unknown / (nouns + unknown)
    np.testing.assert_allclose(found["unknown"].sel(group="NOUN"), share, rtol=1e-6)
    assert float(found["unknown"].sel(group="VERB")) == 0
    assert np.isnan(found["unknown"].sel(group="NUM"))
    assert int(found["n_inputs"].sel(group="NOUN", band="all")) == nouns


# of 120 inputs those of a class are in few of the blocks
@pytest.mark.filterwarnings("ignore:block_bootstrap. the samples:RuntimeWarning")
def test_as_many_inputs_are_followed_as_are_asked_for_and_the_whole_text_read(project):
    is_followed = tagged_classes.followed(1_000, most=300)
    assert is_followed.sum() == 300
    gaps = np.diff(np.flatnonzero(is_followed))
    assert set(gaps) == {3, 4}
    assert tagged_classes.followed(5, most=9).all()
    name, half = "mine", 120
    experiment = settings.load_experiment(name)
    made(name)
    subject = Subject(experiment=experiment)
    original = tagged_classes.followed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tagged_classes, "followed", lambda n: original(n, most=half))
        found = tagged_classes.study(subject)["tagged_classes"]
    text, _ = decoded(name)
    classes = by_hand(name, text)
    is_noun = (classes == "NOUN") & original(len(text), most=half)
    assert (
        int(found["n_inputs"].sel(band="all").sum())
        - int(found["n_inputs"].sel(band="all", group="all words"))
        == half
    )
    values = found["observed"].sel(band="all", group="NOUN", quantity="memory")
    np.testing.assert_allclose(values, exact(name, is_noun)[0], rtol=2e-5)


def test_intervals_are_of_the_blocks_and_the_second_run_makes_nothing(project):
    found = made("mine")
    one = found.sel(band="all", group="VERB", quantity="relative_memory")
    assert (one["lower"] < one["observed"]).all()
    assert (one["observed"] < one["upper"]).all()
    base = found.sel(band="all", group="all words", quantity="relative_memory")
    for end in ("estimate", "lower", "upper"):  # always 1, whatever is drawn
        np.testing.assert_allclose(base[end], 1, rtol=1e-6)
    done = CliRunner().invoke(cli.app, ["reproduce", "mine", "--jobs", "1"])
    assert "everything is fresh" in done.output


def test_texts_that_cannot_be_asked_are_refused(project, monkeypatch):
    with pytest.raises(ValueError, match=r"tokens carry tags, brown, .* ptb"):
        settings.Experiment(
            name="mine",
            corpus=settings.Corpus(name="ptb"),
            language=settings.Language(studies=("tagged-classes",)),
        )
    plain = settings.Experiment(name="mine", corpus=settings.Corpus(name="ptb"))
    with pytest.raises(ValueError, match=r"whose tokens carry tags, .* received ptb"):
        tagged_classes.study(Subject(experiment=plain))
    done = CliRunner().invoke(cli.app, ["train", "short"])
    assert done.exit_code == 0, done.output
    monkeypatch.setattr(tagged_classes, "FEWEST", 10_000)
    done = CliRunner().invoke(cli.app, ["tagged-classes", "short"])
    assert done.exit_code != 0
    assert "a class must have 10000 tokens in two blocks" in str(
        done.output + str(done.exception)
    )


def test_a_text_whose_tags_are_out_of_step_is_refused(project, monkeypatch):
    made("mine")
    subject = Subject(experiment=settings.load_experiment("mine"))
    monkeypatch.setattr(
        tagged_classes.parts_of_speech,
        "read_classes",
        lambda corpus: {"valid": np.zeros(7, int)},
    )
    with pytest.raises(ValueError, match=r"tokens of the valid text .* received 7"):
        tagged_classes.study(subject)


def test_what_a_row_is_held_against_is_all_words_of_its_band():
    rows = xr.DataArray(
        np.ones((5, 1), bool),
        {
            "group": ("row", ["all words", "NOUN", "all words", "VERB", "NOUN"]),
            "band": ("row", ["all", "all", "below 100", "below 100", "all"]),
        },
        ("row", "cell"),
    )
    assert tagged_classes.base_of(rows).tolist() == [0, 0, 2, 2, 0]
