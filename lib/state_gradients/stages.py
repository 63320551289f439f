"""The three stages that make an experiment's artifacts, and `reproduce`.

    train    text -> training curves, encoder (and full weights where they are needed)
    extract  encoder, text -> mean state gradients
    analyse  gradients, encoder -> spectra (on the synthetic corpus also probes)

Each stage reads artifacts, calls the library and writes artifacts; the backend is
imported inside, so that this module can be listed and documented without it.
"""

import time

import numpy as np
import xarray as xr

from state_gradients import artifacts, config, corpora, spectra, synthetic, whitening

KEPT_DIRECTIONS = 10  # right singular vectors that the spectra keep


def _described(dims, values, long_name, units="1", equation="measured"):
    attrs = {"long_name": long_name, "units": units, "equation": equation}
    return xr.Variable(dims, values, attrs)


def run_train(experiment, *, root=None, resume=True, progress=True):
    """Train, measure the perplexities and write ``training``, ``encoder``, weights.

    Validation perplexity is taken at batch_size x num_steps as in training, test
    perplexity on one stream, as the paper does.
    """
    from state_gradients import models, training

    started = time.monotonic()
    text = corpora.load(experiment.corpus)
    model, curves = training.train(
        experiment, text=text, root=root, resume=resume, progress=progress
    )
    settings = experiment.training
    sizes = {"batch_size": settings.batch_size, "num_steps": settings.num_steps}
    valid = training.perplexity(model, text.splits["valid"], **sizes)
    test = training.perplexity(model, text.splits["test"], batch_size=1, num_steps=1)
    ppl = "exp(mean of -ln p)"
    curves = curves.assign(
        valid_perplexity_final=_described(
            (), valid, "validation perplexity, cut as in training", equation=ppl
        ),
        test_perplexity=_described((), test, "test perplexity, 1 x 1", equation=ppl),
        epochs_run=_described((), curves.sizes["epoch"], "epochs run"),
        n_parameters=_described((), model.count_params(), "parameters, all layers"),
    )
    seconds = float(curves["seconds"].sum()) or time.monotonic() - started
    named, kept = models.weights(model), artifacts.expected(experiment)
    encoder = {k: v for k, v in named.items() if not k.startswith("logits")}
    for kind, data in (
        ("training", curves),
        ("encoder", _weights(encoder, text.vocabulary)),
        ("weights", _weights(named, text.vocabulary)),
    ):
        if kind in kept:
            artifacts.save(data, experiment, kind, wall_time=seconds, root=root)


def _weights(named, vocabulary):
    """Return weights as a Dataset; every matrix keeps Keras's axis order."""
    variables = {}
    for name, value in named.items():
        dims = [f"{name}.{axis}" for axis in range(value.ndim)]
        if name == "embedding":
            dims = ["vocabulary", "embedding"]
        variables[name] = _described(
            dims, value.astype(np.float32), f"weights {name}", "1", "Keras order"
        )
    coords = {
        "vocabulary": list(vocabulary.tokens),
        "count": ("vocabulary", vocabulary.counts),
    }
    return xr.Dataset(variables, coords=coords)


def build_model(experiment, weights):
    """Return the Keras model of an experiment with the weights of an artifact.

    Parameters
    ----------
    experiment : state_gradients.config.Experiment
    weights : xarray.Dataset
        The ``encoder`` or ``weights`` artifact; the former leaves the softmax random.
    """
    from state_gradients import models

    model = models.build_language_model(
        experiment.model,
        weights.sizes["vocabulary"],
        embeddings=weights["embedding"].values,
    )
    models.set_weights(model, {k: v.values for k, v in weights.data_vars.items()})
    return model


def run_extract(experiment, *, root=None):
    """Average the state gradients over the text and write ``gradients``."""
    from state_gradients import cells, gradients, models

    started, settings = time.monotonic(), experiment.gradients
    encoder = artifacts.load(experiment, "encoder", root=root)
    model = build_model(experiment, encoder)
    names = cells.state_names(models.recurrent_layers(model)[0].cell)
    positions = None
    if settings.groups == "new-tokens":
        from state_gradients import synthetic_study

        labels = synthetic.labels(experiment.corpus, settings.split)
        positions = synthetic_study.position_groups(labels)
    means = gradients.mean_state_gradients(
        model,
        corpora.load(experiment.corpus).splits[settings.split],
        max_delay=settings.max_delay,
        state=settings.states or names,
        positions=positions,
        window=settings.window,
    )
    if positions is None:
        means = means.expand_dims(group=["all"])
        axes = ("state_kind", "group", "delay", "state", "embedding")
        means = means.transpose(*axes, missing_dims="ignore")
    means["state_gradient"] = means["state_gradient"].astype(np.float32)
    artifacts.save(
        means,
        experiment,
        "gradients",
        upstream={"encoder": encoder},
        wall_time=time.monotonic() - started,
        root=root,
    )


def run_analyse(experiment, *, root=None):
    """Decompose the gradients, whitened and not, and write ``spectra`` (and probes)."""
    started = time.monotonic()
    encoder, gradients = (
        artifacts.load(experiment, kind, root=root) for kind in ("encoder", "gradients")
    )
    artifacts.save(
        spectra_of(gradients["state_gradient"], encoder["embedding"]),
        experiment,
        "spectra",
        upstream={"encoder": encoder, "gradients": gradients},
        wall_time=time.monotonic() - started,
        root=root,
    )
    if experiment.corpus.name == "synthetic":
        from state_gradients import synthetic_study

        weights = artifacts.load(experiment, "weights", root=root)
        model = build_model(experiment, weights)
        artifacts.save(
            synthetic_study.analyse(experiment, model, gradients),
            experiment,
            "probes",
            upstream={"weights": weights, "gradients": gradients},
            wall_time=time.monotonic() - started,
            root=root,
        )


def spectra_of(gradient, embedding):
    """Return singular values and memory curves, whitened and not.

    Parameters
    ----------
    gradient : DataArray of shape (..., delay, state, embedding)
    embedding : DataArray of shape (vocabulary, embedding)

    Returns
    -------
    xarray.Dataset
        With a ``normalization`` axis, "raw" and "whitened"; raw alone for one-hot
        input, whose covariance is singular.
    """
    table = embedding.values.astype(np.float64)
    variances = np.linalg.eigvalsh(np.cov(table, rowvar=False))[::-1]
    versions = {"raw": gradient}
    one_hot = np.array_equal(table, np.eye(*table.shape))
    if not one_hot:
        fitted = whitening.fit_whitening(table)
        versions["whitened"] = whitening.whiten_gradient(gradient, fitted)
    parts = []
    for version in versions.values():
        svd = spectra.decompose(version)
        curve = spectra.memory_curve(svd)
        first = svd["vt"].isel(component=slice(KEPT_DIRECTIONS))
        curve["s"] = svd["s"]
        curve["vt"] = first.rename(component="direction").astype(np.float32)
        parts.append(curve)
    names = xr.Variable("normalization", list(versions))
    result = xr.concat(parts, names, combine_attrs="drop_conflicts")
    result["embedding_variance"] = _described(
        "axis", variances, "variance along the principal axes", "1", "eig(cov_e)"
    )
    for name in ("memory", "total", "s"):  # raw and whitened differ in their units
        result[name].attrs["units"] = "state unit / embedding unit or deviation"
    if not one_hot:
        result["condition_number"] = _described(
            (), fitted.condition_number, "condition number of Z", "1", "Eq. 7"
        )
    order = ("state_kind", "group", "normalization", "delay", ...)
    return result.transpose(*order, missing_dims="ignore")


RUN = {"train": run_train, "extract": run_extract, "analyse": run_analyse}


def reproduce(name, *, root=None, report=lambda line: None):
    """Run what is missing or stale of an experiment's stages.

    Parameters
    ----------
    name : str
    report : callable
        Receives a line of text before each stage.

    Returns
    -------
    list of str
        The stages that ran; empty if everything was fresh.
    """
    experiment, ran = config.load_experiment(name, root=root), []
    for stage, run in RUN.items():
        why = artifacts.outdated(name, root=root).get(stage)
        if why:
            report(f"{name}: {stage}, because {why}")
            run(experiment, root=root)
            ran.append(stage)
    return ran
