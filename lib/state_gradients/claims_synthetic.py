"""Tests of the claims of Sec. 4.2 and Appendix 8, on the ``probes`` of one run."""

import numpy as np
from scipy.stats import spearmanr

from state_gradients import synthetic
from state_gradients.verdicts import CLAIMS as CLAIMS
from state_gradients.verdicts import claim

COPIES = slice("1", "15")  # labels
N_CHOICES = synthetic.N_TOKENS - 2


@claim("C014", "O", "The perplexity is close to its optimum.", "excess, nats a line")
def _close(p):
    rungs = synthetic.ladder()
    test = p["perplexity"].sel(split="test", evaluation="1 x 1").item()
    line = (synthetic.FEWEST + synthetic.MOST) / 2 * (synthetic.REPEATS + 1) + 1
    excess = {name: line * np.log(test / rung) for name, rung in rungs.items()}
    return {f"over '{name}'": x for name, x in excess.items()}, test <= rungs["neither"]


@claim("C015", "O", "New tokens are foreseen by luck only.", "loss; accuracy at them")
def _luck(p):
    at = p.sel(label="0")
    n = at["predictions_at"]
    right = 1 - at["mistakes_at"] / n
    luck = synthetic.FEWEST / (synthetic.FEWEST + synthetic.MOST) * 2 / N_CHOICES
    bound = luck + 3 * np.sqrt(luck * (1 - luck) / n)  # three standard errors
    values = {"loss": at["nll_at"], "ideal": at["ideal_nll_at"], "accuracy": right}
    return values | {"ideal accuracy": luck}, right <= bound


@claim("C016", "O", "Repeated tokens can always be foreseen.", "accuracy by position")
def _foreseen(p):
    right = 1 - p["mistakes_at"] / p["predictions_at"]
    lowest = right.sel(label=COPIES).min()
    values = {"first copy": right.sel(label="1"), "lowest of all copies": lowest}
    return values | {"EOS": right.sel(label="EOS")}, lowest >= 0.99


@claim("C017", "O", "Nearly all mistakes fall on new tokens.", "share of mistakes")
def _at_new_tokens(p):
    share = p["mistakes_at"] / p["mistakes_at"].sum()
    values = {"new": share.sel(label="0"), "EOS": share.sel(label="EOS")}
    return values, values["new"] >= 0.95


@claim("C019", "O", "All others fall on the first copy.", "share of the unexpected")
def _at_first_copy(p):
    first, all_of = p["unexpected_at_first_repeat"], p["unexpected_mistakes"]
    if not all_of:
        return {"unexpected mistakes": 0}, None
    return {"share": first / all_of}, first == all_of


@claim("C024", "O", "Both states tell well whether a token is new.", "recall, balanced")
def _tell_new(p):
    found = {}
    for state in ("cell", "hidden"):
        at = p.sel(representation=state)
        found[f"{state}: recall"] = at["new_recall"]
        found[f"{state}: balanced"] = at["lda_balanced_accuracy"].sel(target="new")
    return found, min(found.values()) >= 0.9


def _accuracy(p, representation, target):
    return p["lda_accuracy"].sel(representation=representation, target=target).item()


@claim("C027", "O", "The cell tells the count better than hidden.", "difference")
def _cell_counts(p):
    gap = _accuracy(p, "cell", "count") - _accuracy(p, "hidden", "count")
    return {"cell - hidden": gap}, gap > 0


@claim("C035", "O", "Token and count live apart.", "what is kept, above the majority")
def _apart(p):
    kept = {}
    for space in ("counting", "identity"):
        for target in ("token", "count"):
            base = p["majority_rate"].sel(target=target).item()
            part = _accuracy(p, f"cell {space}", target) - base
            kept[f"{space}: {target}"] = part / (_accuracy(p, "cell", target) - base)
    own = min(kept["counting: count"], kept["identity: token"])
    foreign = max(kept["counting: token"], kept["identity: count"])
    angle = {"least angle in degrees": p["principal_angle"].min()}
    return kept | angle, own >= 0.9 and foreign <= 0.2


@claim("C036", "O", "Two directions already tell the count fairly.", "accuracy")
def _plane(p):
    plane, full = p["plane_accuracy"].item(), _accuracy(p, "cell", "count")
    return {"two": plane, "all": full}, plane >= full / 2


@claim("C037", "S", "The count runs round a closed loop.", "turns; steps that way")
def _loop(p):
    means = p["plane_means"] - p["plane_means"].mean("label")
    angle = np.arctan2(*means.transpose("axis", "label").values[::-1])
    steps = np.angle(np.exp(1j * (np.roll(angle, -1) - angle)))  # in (-pi, pi]
    turns = steps.sum() / (2 * np.pi)
    share = np.mean(np.sign(steps) == np.sign(turns))
    once = round(abs(turns)) == 1
    return {"turns": abs(turns), "share": share}, once and share >= 0.9


@claim("C038", "S", "Late counts are told apart better.", "recall of 11-15 minus 1-5")
def _late(p):
    recall = p["plane_recall"].sel(label=COPIES).values
    gain, rank = recall[-5:].mean() - recall[:5].mean(), spearmanr(range(15), recall)[0]
    return {"gain": gain, "rank correlation": rank}, gain > 0 and rank > 0


def _read(p, first, last):
    cell = p["delay_accuracy"].sel(representation="cell")
    return cell.sel(delay=slice(first, last)).mean().item()


@claim("C039", "S", "A new token is read until its copies end.", "mean accuracy, 0-31")
def _until(p):
    return {"accuracy": _read(p, 0, 31)}, _read(p, 0, 31) >= 0.9


@claim("C040", "O", "Then it is read just above chance.", "mean accuracy, 33-49")
def _after(p):
    chances = {"all tokens alike": 0.1, "two current tokens known": 1 / N_CHOICES}
    return {"accuracy": _read(p, 33, 49)} | chances, 0.1 < _read(p, 33, 49) <= 0.2


@claim("C041", "O", "The hidden state forgets a step earlier.", "delay of the fall")
def _earlier(p):
    at = p["accuracy_falls_at"]
    at = {s: at.sel(representation=s).item() for s in ("cell", "hidden")}
    return at, at["cell"] - at["hidden"] == 1


def _sum(p, first, last, *, group="new-tokens", subspace="whole"):
    sums = p["sum_singular_values"].sel(group=group, subspace=subspace)
    return sums.sel(delay=slice(first, last)).mean().item()


@claim("C042", "O", "Needed inputs have far larger singular values.", "ratios of sums")
def _needed(p):
    unneeded = _sum(p, 0, 16) / _sum(p, 33, 49)
    ordinary = _sum(p, 0, 16) / _sum(p, 0, 16, group="all")
    values = {"0-16 over 33-49": unneeded, "new over all tokens": ordinary}
    return values, unneeded >= 3 and ordinary > 1


@claim("C043", "S", "Over all tokens the sum falls.", "share of falling steps")
def _falls(p):
    sums = p["sum_singular_values"].sel(group="all", delay=slice(0, 49))
    share = (sums.diff("delay") < 0).mean("delay")
    both = {name: share.sel(subspace=name).item() for name in ("counting", "identity")}
    return both, min(both.values()) >= 0.9


@claim("C044", "S", "Over new tokens it drops at multiples of 16.", "delays")
def _drops(p):
    sums = p["sum_singular_values"].sel(group="new-tokens, earlier", subspace="whole")
    falls = -np.diff(np.log(sums.values))  # from delay d to d + 1
    steps = {16: (8, 24), 32: (24, 40), 48: (40, 50)}
    at = {f"near {s}": a + falls[a:b].argmax() for s, (a, b) in steps.items()}
    near = [abs(d - s) <= 1 for d, s in zip(at.values(), steps, strict=True)]
    return at, all(near)


@claim("C045", "S", "It falls and rises before the use.", "delay of the least; rise")
def _rises(p):
    sums = p["sum_singular_values"].sel(group="new-tokens", subspace="whole").values
    least = int(sums[:16].argmin())
    return {"at": least, "15 over it": sums[15] / sums[least]}, 0 < least < 15


@claim("C046", "H", "While it is copied a token matters less.", "17-31 over 0-15")
def _copied(p):
    ratio = _sum(p, 17, 31) / _sum(p, 0, 15)
    return {"ratio": ratio}, ratio < 1


@claim("C047", "O", "After step 32 little is left.", "33 over 31")
def _little(p):
    ratio = _sum(p, 33, 33) / _sum(p, 31, 31)
    return {"ratio": ratio}, ratio <= 0.2


@claim("C048", "O", "What is left is identity.", "identity over counting, 33-49")
def _left(p):
    parts = [_sum(p, 33, 49, subspace=s) for s in ("identity", "counting")]
    return {"ratio": parts[0] / parts[1]}, parts[0] > parts[1]


@claim("C049", "H", "Counting lowers the loss.", "loss added at 15, 0, EOS, in nats")
def _counting(p):
    end = p.sel(label=["15", "0", "EOS"])
    loss = end["ablated_nll_at"].weighted(end["predictions_at"]).mean("label")
    added = loss - loss.sel(removed="nothing")
    counting, random = (added.sel(removed=r).item() for r in ("counting", "random"))
    values = {"without counting": counting, "without random directions": random}
    return values, counting > max(random, 0)


@claim("C053", "H", "The end of line costs nothing.", "p(<eos>) after so many cycles")
def _free(p):
    found = p["eos_probability"].sel(cycles=slice(synthetic.FEWEST, None))
    values = {
        f"{n} cycles (ideal {1 / (synthetic.MOST + 1 - n):.2f}):": found.sel(cycles=n)
        for n in found["cycles"].values
    }
    early = p["eos_probability"].sel(cycles=slice(None, synthetic.FEWEST - 1))
    return values | {"fewer (ideal 0):": early.mean()}, found.min() >= 0.9
