"""The engine on an accelerator: all delays in flight at once, compiled.

The same sums as :mod:`state_gradients.engine.tiles`, by the same formulas, ordered for
a device that wants few large steps: at every token (max_delay + 1) x embedding tangent
rows move on by one delay, in a loop that the backend compiles. Jobs go side by side, in
*lanes* that share nothing but the step, and a *block* of tokens at a time;
:mod:`state_gradients.engine.capacity` says how many the device has memory for.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
from keras import ops

from state_gradients.engine import capacity
from state_gradients.foundation import backends


def run(jobs, plan):
    """Yield ``(stretch, job, sums)`` of each job, in order; sums as of the tiles.

    The next jobs are read, and run forward, while the device works on some.

    Parameters
    ----------
    jobs : iterable of (int, Job)
    plan : capacity.Plan
    """
    jobs = iter(jobs)
    together = list(itertools.islice(jobs, plan.lanes))
    plan = replace(plan, lanes=len(together))  # a short text fills no more
    before = iter(())
    with ThreadPoolExecutor(1) as ahead:  # a call may return only when all is done
        while together:
            following = ahead.submit(list, itertools.islice(jobs, plan.lanes))
            totals = _begun([job for _, job in together], plan)
            yield from before
            before = _finished(together, totals)
            together = following.result()
        yield from before


def _finished(together, totals):
    """Yield each job with its sums, once the device has them."""
    totals = [
        [[ops.convert_to_numpy(half) for half in pair] for pair in kind]
        for kind in totals
    ]
    for lane, (stretch, job) in enumerate(together):
        by_kind = [
            [high[lane].astype(np.float64) + low[lane] for high, low in kind]
            for kind in totals
        ]
        yield stretch, job, [np.stack(parts) for parts in zip(*by_kind, strict=True)]


def _begun(jobs, plan):
    """Have the device sum over some jobs, in as many lanes or fewer.

    Returns
    -------
    list of lists of pairs
        By kind of state, the sums of X, and of X X^T if asked for: tensors (lane,
        group, delay, embedding, ..), and what their rounding has lost.
    """
    sweep, weights = _program(jobs[0], plan)
    tangents, totals = _zeros(jobs[0], plan)
    chosen = [_chosen(job) for job in jobs]
    for start in range(0, max(map(len, chosen)), plan.block):
        rows = slice(start, start + plan.block)
        trace = [
            [
                _side_by_side([a[rows] for a in arrays], plan)
                for arrays in zip(*layers, strict=True)
            ]
            for layers in zip(*(job.trace for job in jobs), strict=True)
        ]
        counted = _side_by_side([one[rows] for one in chosen], plan)
        tangents, totals = sweep(weights, trace, counted, tangents, totals)
    return totals


def _program(job, plan):
    """Return the compiled sweep of jobs like one, and the weights that it takes."""
    forms = tuple(cell.form for cell in job.cells)
    weights = [cell.weights for cell in job.cells]
    return _compiled(forms, job.request, job.n_inputs, plan), weights


def _zeros(job, plan):
    """Return the tangents and totals with which some jobs begin."""
    shape = capacity.Shape.of(job)

    def zeros(*of_lane):
        return ops.zeros((plan.lanes, *of_lane), dtype=job.dtype.name)

    tangents = [[zeros(shape.n_rows, n) for n in sizes] for sizes in shape.sizes]
    totals = [
        [(zeros(*one), zeros(*one)) for one in shape.sums] for _ in range(shape.n_kinds)
    ]
    return tangents, totals


def _arguments(job, plan):
    """Return the compiled sweep, and what it takes first of a job."""
    sweep, weights = _program(job, plan)
    trace = [
        [_side_by_side([array[: plan.block]], plan) for array in layer]
        for layer in job.trace
    ]
    chosen = _side_by_side([_chosen(job)[: plan.block]], plan)
    return sweep, (weights, trace, chosen, *_zeros(job, plan))


def planned_bytes(job, plan):
    """Return the bytes that XLA plans for, on JAX, to be held at the sweep's peak.

    What :meth:`state_gradients.engine.capacity.Shape.sweep_bytes` predicts.
    """
    sweep, arguments = _arguments(job, plan)
    memory = sweep.lower(*arguments).compile().memory_analysis()
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )


def _chosen(job):
    """Return (token, group, delay): whether the input that far back counts."""
    request, n_sources = job.request, len(job.sources)
    shape = len(job.trace[0][0]), request.n_groups, request.max_delay + 1
    chosen = np.zeros(shape, bool)
    in_group = np.ones((n_sources, 1), bool)
    if job.members is not None:
        in_group = np.zeros((n_sources, request.n_groups), bool)
        for source, groups in enumerate(job.members):
            in_group[source, list(groups)] = True
    for delay in range(request.max_delay + 1):
        reached = job.ends - job.sources >= delay
        chosen[job.sources[reached] + delay, :, delay] = in_group[reached]
    return chosen


def _side_by_side(arrays, plan):
    """Return arrays (token, ..) as (block, lane, ..), with zeros where there is none.

    Nothing is counted there, whatever the tangents become.
    """
    first = arrays[0]
    lanes = np.zeros((plan.block, plan.lanes, *first.shape[1:]), first.dtype)
    for lane, array in enumerate(arrays):
        lanes[: len(array), lane] = array
    return lanes


@lru_cache(maxsize=8)  # texts and models share one, where only the weights differ
def _compiled(forms, request, n_inputs, plan):
    """Return ``sweep(weights, trace, chosen, tangents, totals) -> tangents, totals``.

    It carries a block of tokens. `chosen` is (token, lane, group, delay), a trace
    (token, lane, units), and a state's tangents are (lane, delay x embedding, units).
    """
    n_delays = request.max_delay + 1

    def differentials(weights, trace, lanes):
        """Return of each layer a function from a token to the lanes' differentials."""
        for form, of_layer, arrays in zip(forms, weights, trace, strict=True):
            x, *states = (ops.reshape(a, (-1, a.shape[-1])) for a in arrays)
            yield form.on_backend(of_layer, x, states).by_token(lanes)

    def summands(tangents):
        """Return X, and X X^T if asked for, of each state asked for."""
        by_state = []
        for state_index in request.state_indices:
            x = tangents[-1][state_index]
            x = ops.reshape(x, (x.shape[0], 1, n_delays, n_inputs, x.shape[-1]))
            parts = [x]
            if request.second_moment:
                parts.append(ops.matmul(x, ops.swapaxes(x, -2, -1)))
            by_state.append(parts)
        return by_state

    def sweep(weights, trace, chosen, tangents, totals):
        by_layer = list(differentials(weights, trace, chosen.shape[1]))

        def one_token(t, carry):
            tangents, sums = carry
            after = []
            below = None
            for form, states, at in zip(forms, tangents, by_layer, strict=True):
                after.append(_advanced(states, at(t), below, n_inputs))
                below = after[-1][form.output]
            counts = chosen[t][..., None, None]
            sums = [
                [
                    ops.where(counts, total + part, total)
                    for total, part in zip(*pair, strict=True)
                ]
                for pair in zip(sums, summands(after), strict=True)
            ]
            return after, sums

        sums = [[ops.zeros_like(high) for high, _ in kind] for kind in totals]
        carry = tangents, sums
        tangents, sums = ops.fori_loop(0, chosen.shape[0], one_token, carry)
        totals = [
            [_added(*one) for one in zip(*pair, strict=True)]
            for pair in zip(totals, sums, strict=True)
        ]
        return tangents, totals

    return backends.compiled(sweep, jit=plan.jit, reuse=(3, 4))


def _added(total, part):
    """Add to a total (high, low) with what the addition rounds off (Knuth's TwoSum).

    high + low is as exact as a sum in float64, which a backend may not have.
    """
    high, low = total
    after = high + part
    added = after - high
    return after, low + ((high - (after - added)) + (part - added))


def _advanced(tangents, differential, below, n_inputs):
    """Return tangents (lane, delay x embedding, units), all one delay on.

    On every layer the oldest delay leaves and delay 0 begins as zeros. In the first
    layer B drives delay 0, above it `below` drives every delay.
    """
    first = [(0, 0), (n_inputs, 0), (0, 0)]
    tangents = [ops.pad(x[:, :-n_inputs], first) for x in tangents]
    driven = [0] * len(tangents)
    for (j, i), matrix in differential.dense.items():
        driven[i] = driven[i] + ops.matmul(tangents[j], matrix)
    for i, matrix in enumerate(differential.inputs):
        if below is None:
            older = [(0, 0), (0, tangents[i].shape[1] - n_inputs), (0, 0)]
            driven[i] = driven[i] + ops.pad(matrix, older)
        else:
            driven[i] = driven[i] + ops.matmul(below, matrix)
    return differential.advance(tangents, driven)
