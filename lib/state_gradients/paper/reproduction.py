"""`reproduce`: what is missing or stale of an experiment's stages, and nothing else.

The network comes first. What follows is made from it alone, most of it, the mean
gradients as well as the studies of words: with ``jobs=2`` two stages run at a time, in
processes of their own. One that is made from another's artifact stands in the same
chain, and waits for it.
"""

import itertools
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from state_gradients.foundation import settings
from state_gradients.paper import stages
from state_gradients.project import artifacts, kinds, locks

LONGEST = "types", "extract", "learning", "classes", "influence"  # they begin first


def reproduce(name, *, root=None, jobs=1, report=lambda line: None):
    """Run what is missing or stale of an experiment's stages.

    Parameters
    ----------
    name : str
    root : path-like, optional
    jobs : int
        How many stages run at a time. Each has a copy of the text and of the network: a
        gigabyte or two for a published corpus.
    report : callable
        Receives a line of text before each stage, or of stages that run at a time after
        each.

    Returns
    -------
    list of str
        The stages that ran, in their order; empty if everything was fresh.

    Raises
    ------
    ValueError
        If `jobs` is below 1.
    RuntimeError
        If another process runs a stage of the experiment, or one that ran a stage was
        ended from outside.
    Exception
        Of a stage; those that run beside it are let end, and no further one begins.
    """
    if jobs < 1:
        raise ValueError(f"reproduce: `jobs` must be 1 or more, received {jobs}.")
    experiment = settings.load_experiment(name, root=root)
    if not artifacts.outdated(name, root=root):  # a project to read may be read-only
        return []
    with locks.alone(experiment, root=root):
        ran = _in_order(name, ["train"], root, report)
        undone = artifacts.outdated(name, root=root)
        waiting = [chain for chain in chains() if undone.keys() & set(chain)]
        waiting.sort(key=lambda chain: (*LONGEST, chain[0]).index(chain[0]))
        if min(jobs, len(waiting)) > 1:
            ran += _side_by_side(name, waiting, jobs, root, report)
        else:
            ran += _in_order(name, stages.RUN, root, report)
    return sorted(ran, key=[*stages.RUN].index)


def chains():
    """Return what follows training in lists: each after those that it is made from."""
    found = []
    for stage in [stage for stage in stages.RUN if stage != "train"]:
        made = [kind for kind in kinds.KINDS.values() if kind.stage == stage]
        made_from = {kinds.KINDS[up].stage for kind in made for up in kind.upstream}
        before = [chain for chain in found if made_from.intersection(chain)]
        for other in before[1:]:
            before[0].extend(other)
            found.remove(other)
        if before:
            before[0].append(stage)
        else:
            found.append([stage])
    return found


def _in_order(name, wanted, root, report=lambda line: None, **options):
    """Run those of the stages `wanted` that must run, one after another."""
    experiment, ran = settings.load_experiment(name, root=root), []
    undone = artifacts.outdated(name, root=root)
    for stage in wanted:
        if stage in undone:
            report(f"{name}: {stage}, because {undone[stage]}")
            stages.RUN[stage](experiment, root=root, **options)
            ran.append(stage)
            undone = artifacts.outdated(name, root=root)
    return ran


def _side_by_side(name, waiting, jobs, root, report):
    """Run chains of stages, `jobs` at a time; those that take longest stand first."""
    from state_gradients.engine.jobs import n_cores

    jobs = min(jobs, len(waiting))
    undone = artifacts.outdated(name, root=root)
    named = [stage for stage in itertools.chain(*waiting) if stage in undone]
    report(f"{name}: {', '.join(named)}, {jobs} at a time")
    options = {
        "mp_context": get_context("spawn"),  # what TensorFlow holds cannot be forked
        "initializer": _set_up,
        "initargs": [max(n_cores() // jobs, 1)],
    }
    ran, others = [], set(active_children())
    with ProcessPoolExecutor(jobs, **options) as pool:
        try:
            runs = [pool.submit(_run_chain, name, chain, root) for chain in waiting]
            for run in as_completed(runs):
                ran += run.result()
                report(f"{name}: {', '.join(run.result())} made")
        except BrokenProcessPool as error:
            raise RuntimeError(
                f"{name}: a stage must run to its end, but its process was ended from "
                "outside, as happens when memory is short; run `state-gradients "
                f"reproduce {name} --jobs 1`."
            ) from error
        except Exception as error:  # what runs beside it is not lost
            report(f"{name}: {error} What runs beside it is let end.")
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # a signal: none goes on alone; the pool waits for them
            for process in set(active_children()) - others:
                process.terminate()
            raise
    return ran


def _set_up(n_threads):
    """Prepare a process for stages: its share of the cores, and its end."""
    threadpool_limits(n_threads)
    tqdm.set_lock(threading.RLock())  # its own is of all processes, and to be cleared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: this process's parent
    signal.signal(signal.SIGTERM, _stop)


def _stop(number, frame):
    """End by an error where the stage is, so that what it was writing is taken back."""
    signal.signal(number, signal.SIG_IGN)  # undisturbed
    raise SystemExit(128 + number)


def _run_chain(name, chain, root):
    """Run a chain of stages in a process of its own; see `_in_order`.

    A signal ends the process. The pool would take the error for the chain's result, and
    let it begin the next chain, or wait for one for ever.
    """
    try:
        with locks.lent(settings.load_experiment(name, root=root), root=root):
            return _in_order(name, chain, root, progress=False)
    except SystemExit as stop:
        os._exit(stop.code)
