"""How much of a text an accelerator carries at once, and the memory that takes.

The sweep carries jobs side by side, in L lanes, and n tokens in a block. With R =
(max_delay + 1) x embedding rows of tangents a lane, u the units of all states of all
layers, w those of the widest state, and M the numbers of all differentials of a token,
the numbers that a device holds at the peak are, for each lane,

    R u            tangents, which the loop advances in their place
    3 S            sums of a block, and of all blocks, high and low
    (l + 1) R w    what the products drive, with l layers, before it is added
    n M            the differentials of a block, made before the loop
    n (x + g)      the trace that they are made from, and who counts (a byte each).

S = groups x (max_delay + 1) x embedding x units for each kind of state, and the Gram
matrices if asked for. That is what XLA plans for on a processor to within a fifth; a
GPU's libraries take some more.
"""

from dataclasses import dataclass, replace

import numpy as np

from state_gradients.engine.sums import FLUSH
from state_gradients.foundation import backends

MOST_LANES = 32  # products of 32 x R rows fill the largest device of today
SHARE = 0.5  # of what is free: the jobs before still have their sums there
OVERHEAD = 3  # differentials that a backend derives: what it needs beside the result


@dataclass(frozen=True)
class Plan:
    """How a sweep goes through jobs."""

    lanes: int  # jobs side by side
    block: int  # tokens whose differentials are made at once
    jit: bool  # whether TensorFlow compiles with XLA


@dataclass(frozen=True)
class Shape:
    """What the memory of a sweep depends on, for one lane.

    Attributes
    ----------
    sizes : tuple of tuples of int
        The units of each layer's states.
    n_rows : int
        Tangents of a state that are in flight: (max_delay + 1) x embedding.
    sums : tuple of tuples of int
        Shapes (group, delay, embedding, ..) of what is summed for a kind of state.
    n_kinds : int
        Kinds of states that are asked for.
    matrices : int
        Numbers in the differentials of a token.
    trace : int
        Numbers that these are made from.
    itemsize : int
        Bytes a number.
    """

    sizes: tuple
    n_rows: int
    sums: tuple
    n_kinds: int
    matrices: int
    trace: int
    itemsize: int

    @classmethod
    def of(cls, job):
        """Return the shape of a :class:`state_gradients.engine.jobs.Job`."""
        request = job.request
        each = request.n_groups, request.max_delay + 1, job.n_inputs
        widths = [job.cells[-1].sizes[request.state_indices[0]]]
        if request.second_moment:
            widths.append(job.n_inputs)
        read = [layer[0].shape[1] for layer in job.trace]
        return cls(
            sizes=tuple(cell.sizes for cell in job.cells),
            n_rows=(request.max_delay + 1) * job.n_inputs,
            sums=tuple((*each, width) for width in widths),
            n_kinds=len(request.state_indices),
            matrices=sum(map(_matrices, job.cells, read)),
            trace=sum(a.shape[1] for layer in job.trace for a in layer),
            itemsize=job.dtype.itemsize,
        )

    def sweep_bytes(self, *, lanes, block):
        """Return the bytes that a device holds at a sweep's peak.

        Parameters
        ----------
        lanes : int
            Jobs side by side.
        block : int
            Tokens at a time.
        """
        units = sum(map(sum, self.sizes))
        widest = max(map(max, self.sizes))
        n_sums = self.n_kinds * sum(int(np.prod(shape)) for shape in self.sums)
        numbers = (
            self.n_rows * (units + (len(self.sizes) + 1) * widest)
            + 3 * n_sums
            + block * (self.matrices + self.trace)
        )
        counted = block * self.sums[0][0] * self.sums[0][1]  # a byte each
        return lanes * (numbers * self.itemsize + counted)


def _matrices(cell, n_inputs):
    """Return how many numbers a cell's differentials of one token take."""
    numbers, derived = cell.matrices(n_inputs)
    return numbers * (OVERHEAD if derived else 1)


def fitted(shape, available):
    """Return how a sweep is to go through jobs on a device, None if it has no room.

    First fewer lanes, then shorter blocks: a lane less is a product less tall, a block
    less long one call more.

    Parameters
    ----------
    shape : Shape
    available : float
        Bytes that are free on the device.
    """
    plan = Plan(lanes=MOST_LANES, block=FLUSH, jit=True)
    while shape.sweep_bytes(lanes=plan.lanes, block=plan.block) > SHARE * available:
        if plan.lanes > 1:
            plan = replace(plan, lanes=plan.lanes // 2)
        elif plan.block > 1:
            plan = replace(plan, block=plan.block // 2)
        else:
            return None
    return plan


def plan(job):
    """Return how the backend's device is to go through jobs, None if it has no room.

    On a processor, which has caches to think of, that is one job at a time.
    """
    if not backends.accelerators():
        return Plan(lanes=1, block=FLUSH, jit=False)
    return fitted(Shape.of(job), backends.free_memory())
