"""What the ``probes`` of one run say of the claims of Sec. 4.2 and Appendix 8.

Each function looks at one side of a run and returns what :func:`judge` does.
"""

import numpy as np
from scipy.stats import spearmanr

from state_gradients.text import synthetic

COPIES = slice("1", "15")  # labels
N_CHOICES = synthetic.N_TOKENS - 2
STATES = ("cell", "hidden")


def judge(p):
    """Return ``{claim: ({what: value}, whether it holds or None)}``.

    ``claims.yaml`` says each claim in words; where it begins to hold stands here.

    Parameters
    ----------
    p : xarray.Dataset
        The ``probes`` of one run.
    """
    sides = (_predictions, _readings, _plane, _delays, _sums, _counting)
    return {claim: found for side in sides for claim, found in side(p).items()}


def _predictions(p):
    found, rungs = {}, synthetic.ladder()
    test = p["perplexity"].sel(split="test", evaluation="1 x 1").item()
    line = (synthetic.FEWEST + synthetic.MOST) / 2 * (synthetic.REPEATS + 1) + 1
    excess = {f"over '{k}'": line * np.log(test / rung) for k, rung in rungs.items()}
    found["C014"] = excess, test <= rungs["neither"]

    right = 1 - p["mistakes_at"] / p["predictions_at"]
    luck = synthetic.FEWEST / (synthetic.FEWEST + synthetic.MOST) * 2 / N_CHOICES
    new, new_right = p.sel(label="0"), right.sel(label="0")
    error = np.sqrt(luck * (1 - luck) / new["predictions_at"])
    values = {"loss": new["nll_at"], "ideal": new["ideal_nll_at"]}
    values |= {"accuracy": new_right, "ideal accuracy": luck}
    found["C015"] = values, new_right <= luck + 3 * error  # three standard errors

    first, lowest = right.sel(label="1"), right.sel(label=COPIES).min()
    values = {"first copy": first, "lowest of all copies": lowest}
    found["C016"] = values | {"EOS": right.sel(label="EOS")}, lowest >= 0.99

    share = p["mistakes_at"] / p["mistakes_at"].sum()
    values = {"new": share.sel(label="0"), "EOS": share.sel(label="EOS")}
    found["C017"] = values, values["new"] >= 0.95

    first, all_of = p["unexpected_at_first_repeat"], p["unexpected_mistakes"]
    none = {"unexpected mistakes": 0}, None
    found["C019"] = ({"share": first / all_of}, first == all_of) if all_of else none
    return found


def _readings(p):
    found, recalls = {}, {}
    accuracy = p["lda_accuracy"].to_pandas()  # (representation, target)
    balanced = p["lda_balanced_accuracy"].sel(target="new")
    for state in STATES:
        recalls[f"{state}: recall"] = p["new_recall"].sel(representation=state)
        recalls[f"{state}: balanced"] = balanced.sel(representation=state)
    found["C024"] = recalls, min(recalls.values()) >= 0.9

    gap = accuracy["count"]["cell"] - accuracy["count"]["hidden"]
    found["C027"] = {"cell - hidden": gap}, gap > 0

    above = accuracy - p["majority_rate"].to_pandas()
    kept = {
        f"{space}: {target}": above[target][f"cell {space}"] / above[target]["cell"]
        for space in ("counting", "identity")
        for target in ("token", "count")
    }
    own = min(kept["counting: count"], kept["identity: token"])
    foreign = max(kept["counting: token"], kept["identity: count"])
    angle = {"least angle in degrees": p["principal_angle"].min()}
    found["C035"] = kept | angle, own >= 0.9 and foreign <= 0.2

    two, everything = p["plane_accuracy"].item(), accuracy["count"]["cell"]
    found["C036"] = {"two": two, "all": everything}, two >= everything / 2
    return found


def _plane(p):
    means = p["plane_means"] - p["plane_means"].mean("label")
    angle = np.arctan2(*means.transpose("axis", "label").values[::-1])
    steps = np.angle(np.exp(1j * (np.roll(angle, -1) - angle)))  # in (-pi, pi]
    turns = steps.sum() / (2 * np.pi)
    share = np.mean(np.sign(steps) == np.sign(turns))
    loop = {"turns": abs(turns), "share": share}

    recall = p["plane_recall"].sel(label=COPIES).values
    gain, rank = recall[-5:].mean() - recall[:5].mean(), spearmanr(range(15), recall)[0]
    late = {"gain": gain, "rank correlation": rank}
    return {
        "C037": (loop, round(abs(turns)) == 1 and share >= 0.9),
        "C038": (late, gain > 0 and rank > 0),
    }


def _delays(p):
    cell = p["delay_accuracy"].sel(representation="cell")
    used, after = (cell.sel(delay=d).mean().item() for d in (slice(31), slice(33, 49)))
    chances = {"all tokens alike": 0.1, "two current tokens known": 1 / N_CHOICES}
    falls = p["accuracy_falls_at"]
    at = {state: falls.sel(representation=state).item() for state in STATES}
    return {
        "C039": ({"accuracy": used}, used >= 0.9),
        "C040": ({"accuracy": after} | chances, 0.1 < after <= 0.2),
        "C041": (at, at["cell"] - at["hidden"] == 1),
    }


def _sums(p):
    sums, found = p["sum_singular_values"], {}
    new, everything = (sums.sel(group=group) for group in ("new-tokens", "all"))

    def mean(first, last, *, of=new, subspace="whole"):
        part = of.sel(subspace=subspace, delay=slice(first, last))
        return part.mean().item()

    unneeded = mean(0, 16) / mean(33, 49)
    ordinary = mean(0, 16) / mean(0, 16, of=everything)
    values = {"0-16 over 33-49": unneeded, "new over all tokens": ordinary}
    found["C042"] = values, unneeded >= 3 and ordinary > 1

    falling = everything.sel(delay=slice(0, 49)).diff("delay") < 0
    share = falling.mean("delay")
    both = {name: share.sel(subspace=name).item() for name in ("counting", "identity")}
    found["C043"] = both, min(both.values()) >= 0.9

    earlier = sums.sel(group="new-tokens, earlier", subspace="whole").values
    falls = -np.diff(np.log(earlier))  # from delay d to d + 1
    steps = {16: (8, 24), 32: (24, 40), 48: (40, 50)}
    at = {f"near {s}": a + falls[a:b].argmax() for s, (a, b) in steps.items()}
    near = [abs(d - s) <= 1 for d, s in zip(at.values(), steps, strict=True)]
    found["C044"] = at, all(near)

    whole = new.sel(subspace="whole").values
    least = int(whole[:16].argmin())
    values = {"at": least, "15 over it": whole[15] / whole[least]}
    found["C045"] = values, 0 < least < 15

    copied, after = mean(17, 31) / mean(0, 15), mean(33, 33) / mean(31, 31)
    found["C046"] = {"ratio": copied}, copied < 1
    found["C047"] = {"ratio": after}, after <= 0.2

    identity, counting = (mean(33, 49, subspace=s) for s in ("identity", "counting"))
    found["C048"] = {"ratio": identity / counting}, identity > counting
    return found


def _counting(p):
    end = p.sel(label=["15", "0", "EOS"])
    loss = end["ablated_nll_at"].weighted(end["predictions_at"]).mean("label")
    added = loss - loss.sel(removed="nothing")
    counting, random = (added.sel(removed=r).item() for r in ("counting", "random"))
    losses = {"without counting": counting, "without random directions": random}

    stops = p["eos_probability"]
    due = stops.sel(cycles=slice(synthetic.FEWEST, None))
    early = stops.sel(cycles=slice(None, synthetic.FEWEST - 1)).mean()
    ideal = {n: 1 / (synthetic.MOST + 1 - n) for n in due["cycles"].values}
    free = {f"{n} cycles (ideal {x:.2f}):": due.sel(cycles=n) for n, x in ideal.items()}
    return {
        "C049": (losses, counting > max(random, 0)),
        "C053": (free | {"fewer (ideal 0):": early}, due.min() >= 0.9),
    }
