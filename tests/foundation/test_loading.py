"""Keras is loaded on a backend that is right, and only chatter is kept back."""

import os
import sys

import keras
import pytest

from state_gradients.foundation import loading

INFORMATION = b"I0000 00:00:1795650964.529938   14296 port.cc:153] oneDNN is on.\n"
BANNER = b"WARNING: All log messages before absl::InitializeLog() is called are ...\n"
ERROR = b"E0000 00:00:1795650893.767545   14000 cuda_platform.cc:52] failed\n"
WARNING = b"W0000 00:00:1795650893.767545   14000 x.cc:1] Improbable numbers\n"
OTHER = b"In another's words: WARNING: All log messages\n"


@pytest.fixture
def unloaded(monkeypatch):
    """As if Keras had not been loaded yet."""
    monkeypatch.delitem(sys.modules, "keras")


def written(capfd):
    return capfd.readouterr().err.encode()


def test_chatter_is_kept_back_and_all_else_passed_on(unloaded, capfd):
    with loading._without_chatter():
        for line in (BANNER, INFORMATION, WARNING, ERROR, OTHER):
            os.write(2, line)
    assert written(capfd) == WARNING + ERROR + OTHER
    os.write(2, INFORMATION)  # the descriptor is its old self
    assert written(capfd) == INFORMATION


def test_what_was_written_before_a_failure_is_passed_on(unloaded, capfd):
    with pytest.raises(RuntimeError, match="no"), loading._without_chatter():
        os.write(2, ERROR)
        raise RuntimeError("no")
    assert written(capfd) == ERROR


def test_once_keras_is_there_nothing_is_held(capfd):
    with loading._without_chatter():
        os.write(2, INFORMATION)
        assert written(capfd) == INFORMATION


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_other_backends_are_refused_by_name_where_they_are_installed(monkeypatch, name):
    monkeypatch.setattr(keras.config, "backend", lambda: name)
    with pytest.raises(loading.BackendError, match=f"or jax, received {name}, on"):
        loading.load_keras()


def test_another_missing_module_is_not_taken_for_the_backend(unloaded, monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "keras":
                raise ModuleNotFoundError("No module named 'optree'", name="optree")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="optree"):
        loading.load_keras()
