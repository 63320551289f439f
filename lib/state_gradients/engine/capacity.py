"""How much of a text is carried at once, and the memory that takes.

The sweep carries jobs side by side, in L *lanes*, and n tokens in a *block*. With R =
(max_delay + 1) x embedding rows of tangents a lane, u the units of all states of all
layers, w those of the widest state, l layers, and M the numbers of all differentials of
a token, a device holds at the peak, in numbers of the chain's precision, for each lane

    R u            tangents, which the loop advances in their place
    (l + 1) R w    what the products drive, before it is added to them
    3 S            sums of a block, and of all blocks, high and low
    n (M + x)      the differentials of a block, and the trace that they are made from

and a byte a token, group and delay for who counts. S = groups x (max_delay + 1) x
embedding x units for each kind of state, and the Gram matrices if asked for. That is
what XLA plans for to within a fifth; the libraries of a GPU take some more.

The tiles hold on each core, with T inputs in a tile, M' the same numbers without those
of the first layer's input,

    2 T embedding u + (max_delay + 1) M' + S, and S in float64,

or, when the job is done, S in its precision and twice in float64.
"""

from dataclasses import dataclass, replace

import numpy as np

from state_gradients.engine import tiles
from state_gradients.engine.sums import FLUSH
from state_gradients.foundation import backends

MOST_LANES = 16  # more were no faster on an H200: benchmarks/records/gpu
SHARE = 0.5  # of what is free: the jobs before still have their sums there
DERIVED = 3  # what a backend needs to derive a matrix, in matrices


@dataclass(frozen=True)
class Plan:
    """How the sweep goes through jobs."""

    lanes: int  # jobs side by side
    block: int  # tokens whose differentials are made at once
    jit: bool  # whether TensorFlow compiles with XLA


@dataclass(frozen=True)
class Shape:
    """What a job's memory depends on.

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
    matrices : tuple of readers.Matrices
        Of each layer, for a token.
    trace : int
        Numbers that these are made from.
    itemsize : int
        Bytes a number.
    """

    sizes: tuple
    n_rows: int
    sums: tuple
    n_kinds: int
    matrices: tuple
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
        pairs = zip(job.cells, read, strict=True)
        return cls(
            sizes=tuple(cell.sizes for cell in job.cells),
            n_rows=(request.max_delay + 1) * job.n_inputs,
            sums=tuple((*each, width) for width in widths),
            n_kinds=len(request.state_indices),
            matrices=tuple(cell.matrices(n_inputs) for cell, n_inputs in pairs),
            trace=sum(array.shape[1] for layer in job.trace for array in layer),
            itemsize=job.dtype.itemsize,
        )

    @property
    def units(self):
        """Of all states of all layers."""
        return sum(map(sum, self.sizes))

    @property
    def n_sums(self):
        """Numbers that are summed up."""
        return self.n_kinds * sum(int(np.prod(shape)) for shape in self.sums)

    def sweep_bytes(self, *, lanes, block):
        """Return the bytes that a device holds at a sweep's peak.

        Parameters
        ----------
        lanes : int
            Jobs side by side.
        block : int
            Tokens at a time.
        """
        widest = max(map(max, self.sizes))
        made = sum(
            (one.inputs + one.states) * (DERIVED if one.derived else 1)
            for one in self.matrices
        )
        numbers = (
            self.n_rows * (self.units + (len(self.sizes) + 1) * widest)
            + 3 * self.n_sums
            + block * (made + self.trace)
        )
        n_groups, n_delays, *_ = self.sums[0]
        return lanes * (numbers * self.itemsize + block * n_groups * n_delays)


def tiles_bytes(job):
    """Return the bytes that a core holds at the peak when the tiles carry a job.

    Without the job itself: its trace is the forward pass's.

    Parameters
    ----------
    job : jobs.Job
    """
    shape = Shape.of(job)
    longest = max((len(job.sources[tile]) for tile in tiles.cut(job)), default=0)
    kept = sum(one.inputs + one.states for one in shape.matrices)
    kept -= shape.matrices[0].inputs  # made when an input comes, and then forgotten
    n_delays = job.request.max_delay + 1
    carried = 2 * longest * job.n_inputs * shape.units + n_delays * kept
    in_double = 8 * shape.n_sums
    sums = shape.itemsize * shape.n_sums + in_double
    of_all_groups = in_double if job.request.n_groups > 1 else 0  # side by side
    return max(shape.itemsize * carried + sums, sums + of_all_groups)


def fitted(shape, available):
    """Return how the sweep is to go through jobs on a device, None if it has no room.

    Fewer lanes come first, then shorter blocks: the products of a lane are the same
    with fewer beside it, while a shorter block is one more call for all of them.

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

    A processor, whose caches hold little, takes one job at a time. There TensorFlow
    runs its graph; on an accelerator XLA compiles it, for only then is it known before
    what it will hold.
    """
    if not backends.accelerators():
        return Plan(lanes=1, block=FLUSH, jit=False)
    return fitted(Shape.of(job), backends.free_memory())
