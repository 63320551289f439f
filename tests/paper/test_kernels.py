"""Kernels forked from a server: what a page finds there, and that none outlives it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
from jupyter_client import AsyncKernelManager
from traitlets.config import Config

from state_gradients.paper.book import kernels

FORKS = pytest.mark.skipif(
    sys.platform != "linux", reason="kernels are forked on Linux only"
)
STARTED = (kernels.ForkedManager, AsyncKernelManager)


def run(tmp_path, *cells, kernel=kernels.ForkedManager):
    """Execute a notebook of some cells; return what it printed, and its outputs."""
    of_python = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": of_python},
    )
    page = papermill.execute_notebook(
        notebook,
        None,
        {},
        cwd=tmp_path,
        progress_bar=False,
        config=Config(KernelManager={"transport": "ipc", "ip": f"{tmp_path}/k"}),
        kernel_manager_class=kernel,
    )
    outputs = [output for cell in page.cells for output in cell.outputs]
    return "".join(o.get("text", "") for o in outputs), outputs


@FORKS
@pytest.mark.slow
def test_a_page_finds_what_it_would_import_and_no_page_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("ASKED", "as the page's process has it")
    asked = f"""
import os, sys
print({{*{kernels.IMPORTED}}} <= {{*sys.modules}})
print(max(name for name in sys.modules if name.startswith("state_gradients.")))
print(os.getcwd(), os.environ["ASKED"], __name__, os.getsid(0) == os.getpid())
"""
    printed, _ = run(tmp_path, asked)
    asked = f"{tmp_path} as the page's process has it __main__ True"
    assert printed.splitlines() == ["True", "state_gradients.paper.book.kernels", asked]


@FORKS
@pytest.mark.slow
def test_what_a_page_shows_is_what_a_kernel_started_anew_shows(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    cells = (
        "import pandas as pd\npd.DataFrame([range(30)], columns=['column'] * 30)",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])",
        "import xarray as xr\nxr.DataArray([1.0], name='one')",
        "from tqdm.auto import tqdm\ntqdm.__module__",
        "import logging, warnings\nlogging.warning('seen')\nwarnings.warn('seen')",
    )
    seen = []
    for kernel in STARTED:
        _, outputs = run(tmp_path, *cells, kernel=kernel)
        data = [dict(output.get("data", {})) for output in outputs]
        for shown in data:
            for kind in ("text/plain", "text/html"):  # memory addresses, unique ids
                if " at 0x" in shown.get(kind, "") or "xr-" in shown.get(kind, ""):
                    shown[kind] = kind
        assert any("image/png" in shown for shown in data)
        assert any("seen" in output.get("text", "") for output in outputs)
        seen.append(data)
    assert seen[0] == seen[1]


def start(tmp_path, cell):
    """Start a process that runs a page of one cell; return it."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_kernels import run\n\n"
        "if __name__ == '__main__':\n"
        f"    print(run(Path({str(tmp_path)!r}), {cell!r})[0])\n"
    )
    return subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)


@FORKS
@pytest.mark.slow
def test_without_a_server_a_kernel_starts_anew(tmp_path, monkeypatch):
    there = tmp_path / ("long" * 20)  # a socket's path has 100 bytes at most
    there.mkdir()
    monkeypatch.setenv("TMPDIR", str(there))
    printed, _ = start(
        tmp_path, "import sys\nprint('pandas' in sys.modules)"
    ).communicate()
    assert printed.strip() == "False"


@FORKS
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_kernel_ends_with_the_process_that_runs_its_page(tmp_path, number):
    cell = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    process = start(tmp_path, cell)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.is_file() and pid.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=60)
    kernel = Path("/proc", pid.read_text())
    while kernel.exists():
        assert time.monotonic() < deadline, "the kernel goes on alone"
        time.sleep(0.1)


@FORKS
@pytest.mark.slow
def test_a_kernel_that_dies_stops_its_page(tmp_path):
    with pytest.raises(Exception, match=r"(?i)kernel died"):
        run(tmp_path, "import os\nos._exit(3)")
