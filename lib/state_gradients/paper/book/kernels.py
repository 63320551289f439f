"""Kernels that begin with what every page imports: forks of a process that has it.

A kernel that starts anew imports IPython, xarray, seaborn and what they rest on for two
seconds, half of what most pages take. A server that has imported them once, and has
done nothing else, forks in its place. It holds no line of this package, so that a page
always runs what stands in the files.
"""

import os
import sys
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

IMPORTED = (
    *("ipykernel.kernelapp", "myst_nb", "jsonschema", "nbformat", "yaml", "pydantic"),
    *("pandas", "xarray", "netCDF4", "h5py", "scipy.stats", "seaborn"),
)


def manager():
    """Return the class that manages the kernels of pages on this platform."""
    # elsewhere the system's libraries may not bear a fork, or there is none
    return ForkedManager if sys.platform == "linux" else AsyncKernelManager


class ForkedManager(AsyncKernelManager):
    """Jupyter's manager of a kernel, whose process is forked from the server's.

    The server starts with the first kernel, so that ``OMP_NUM_THREADS`` stays as it was
    then. It ends with the process that has asked for the kernels.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.provisioner = _Forked(parent=self, kernel_spec=self.kernel_spec)


class _Forked(LocalProvisioner):
    """As Jupyter's own, but for where the process comes from."""

    async def launch_kernel(self, cmd, *, env, cwd=None, **options):
        self.cwd = str(cwd or Path.cwd())
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        context = get_context("forkserver")
        context.set_forkserver_preload([*IMPORTED])
        process = context.Process(target=_serve, args=(arguments, env, self.cwd))
        try:
            process.start()
        except OSError:  # there can be no server: below a long TMPDIR, no socket
            return await super().launch_kernel(cmd, env=env, cwd=cwd, **options)
        self.process = _AsPopen(process)
        self.pid = self.pgid = process.pid
        return self.connection_info


class _AsPopen:
    """A process of multiprocessing, to whom asks it as one of subprocess."""

    stdin = stdout = stderr = None

    def __init__(self, process):
        self._process = process

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self._process.pid, number)

    def kill(self):
        self._process.kill()

    def terminate(self):
        self._process.terminate()


def _serve(arguments, env, cwd):
    """Be a kernel until it is asked to end, or the process that runs the page ends."""
    import matplotlib as mpl
    import pandas as pd
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # so that a signal reaches what the page has started, too
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    # What these asked for when they were imported
    mpl.rcParams["backend"] = env.get("MPLBACKEND", mpl.rcParams["backend"])
    pd.options.display.max_columns = 20  # there is Jupyter now
    Thread(target=_end_with_the_page, daemon=True).start()
    IPKernelApp.launch_instance(
        [*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"]
    )


def _end_with_the_page():
    """End this process after the one that runs the page, however that has ended."""
    parent_process().join()
    os._exit(1)
