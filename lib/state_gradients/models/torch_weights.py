"""Builds the Keras model of a recurrent network whose weights PyTorch has trained.

PyTorch keeps a layer's gates one below the other, (gates x units, in), and two biases,
of the input and of the state; Keras has them side by side, (in, gates x units).

- ``nn.RNN``: h = tanh or relu of W x + b + W' h' + b'.
- ``nn.LSTM``: gates i, f, g, o, in Keras i, f, c, o; the two biases only occur as a
  sum.
- ``nn.GRU``: gates r, z, n, in Keras z, r, h; n = tanh(W x + b + r (W' h' + b')), so
  that the reset comes after the product, and the second bias stays apart.

A state dict names weights, and says nothing of what is done with them. So every weight
is accounted for: it is read; or it stands in no module that is read, and by its name
and shape cannot act below the recurrent layers; or the caller says that it does not.
"""

import os
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from state_gradients.foundation import checks
from state_gradients.foundation.loading import load_keras

if TYPE_CHECKING:
    import keras

WHO = "load_torch"
SUFFIX = ".safetensors"
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
PICKLED = (b"\x80", b"PK\x03\x04")  # how they begin: bare, or zipped as by torch.save
FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
HALVES = {"float16": 11, "bfloat16": 8}  # bits of a number's own
KINDS = {1: "RNN", 3: "GRU", 4: "LSTM"}  # by the number of blocks in a weight
NONLINEARITIES = ("tanh", "relu")
RECURRENT = re.compile(r"(?:(.*)\.)?((?:weight|bias)_(?:ih|hh))_l(\d+)")
OF_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(_|$)")  # in any spelling
OF_MODULES = re.compile(r"weight|bias")  # in how PyTorch's own modules name parameters
STARTS = re.compile(  # how states to start from are called: h0, c_0, init_h, h_init
    r"(^|[._])([hc]x?_?0|(hidden|cell|state)_?0|init|initial|start_?state)"
)


@dataclass(frozen=True)
class _Tensor:
    """One weight as it is stored."""

    name: str
    dtype: str  # NumPy's name, or safetensors' where NumPy has none
    shape: tuple
    data: Any  # its bytes, or an array


@dataclass(frozen=True)
class _Layer:
    """One recurrent layer: its kind of `KINDS`, and PyTorch's weights in float."""

    kind: str
    name: str
    weight_ih: np.ndarray  # (gates x units, in)
    weight_hh: np.ndarray  # (gates x units, units)
    bias_ih: np.ndarray | None  # (gates x units,)
    bias_hh: np.ndarray | None

    @property
    def units(self):
        return self.weight_hh.shape[1]

    @property
    def n_inputs(self):
        return self.weight_ih.shape[1]


@dataclass(frozen=True, kw_only=True)
class Names:
    """Which module is which, as :func:`load_torch` takes it; by default it finds out.

    Parameters
    ----------
    embedding : str or False, optional
    recurrent, above : sequence of str
    nonlinearity : str, optional
    """

    embedding: str | Literal[False] | None = None
    recurrent: tuple[str, ...] = ()
    nonlinearity: str | None = None
    above: tuple[str, ...] = ()

    def load(self, path, *, report=None):
        """Return the model of a file: :func:`load_torch`."""
        return load_torch(
            path,
            embedding=self.embedding,
            recurrent=self.recurrent or None,
            nonlinearity=self.nonlinearity,
            above=self.above,
            report=report,
        )


def load_torch(
    path_or_state_dict: str | os.PathLike[str] | Mapping[str, Any],
    *,
    embedding: str | Literal[False] | None = None,
    recurrent: str | Sequence[str] | None = None,
    output: str | None = None,
    nonlinearity: Literal["tanh", "relu"] | None = None,
    above: str | Sequence[str] = (),
    report: Callable[[str], None] | None = None,
) -> "keras.Model":
    """Build the Keras model of PyTorch's weights, without PyTorch.

    Parameters
    ----------
    path_or_state_dict : path-like or mapping of str to array_like
        ``MODEL.safetensors``, as ``safetensors.torch.save_model`` writes it; or a state
        dict of arrays. Pickles (``.pt``, ``.pth``, ``.bin``) are never opened.
    embedding : str or False, optional
        The name of the nn.Embedding, such as ``"encoder"`` of ``encoder.weight``. False
        if there is none, and the recurrent layer reads numbers. By default the only
        one that there is.
    recurrent : str or sequence of str, optional
        The name of the nn.RNN, nn.LSTM or nn.GRU; several, lowest first, if each reads
        the one below. By default the only one.
    output : str, optional
        The name of an nn.Linear that reads the highest, which becomes a Dense. No state
        gradient needs it.
    nonlinearity : "tanh" or "relu", optional
        Of an nn.RNN, which must be given: no weight tells it.
    above : str or sequence of str
        Names of modules or weights that read the recurrent layers, or are not used. To
        be given for those alone that could act below. The name of a module that holds
        one that is read says nothing of what else stands in it.
    report : callable, optional
        Receives lines of text: what is read, and what is not. By default weights in
        half precision, which are read in single, are warned of.

    Returns
    -------
    keras.Model
        Embedding -> recurrent layers -> Dense, its precision that of the weights,
        at least float32. Dropout, a mask and a state to start from are not in
        PyTorch's weights; it is the model in ``eval()``, from the zero state.

    Raises
    ------
    ValueError
        If the file is not whole, is a pickle, or holds no such module, or several; if
        a module is bidirectional, has projections (``proj_size``), or is quantized; if
        a weight is not finite; if one is not read and stands in a module that is, as
        peepholes, norms of the gates or LoRA do; or if one could act between embedding
        and state: by its shape, as a bare parameter of a module that holds those that
        are read, or as a table of positions or a learned state to start from.
    ModuleNotFoundError
        If a file is given and safetensors is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import state_gradients as sg
    >>> rng = np.random.default_rng(0)
    >>> weights = {
    ...     "words.weight": rng.normal(size=(5, 2)),
    ...     "lstm.weight_ih_l0": rng.normal(size=(12, 2)),
    ...     "lstm.weight_hh_l0": rng.normal(size=(12, 3)),
    ... }
    >>> model = sg.load_torch(weights)
    >>> [layer.name for layer in model.layers]
    ['words', 'lstm_l0']
    >>> means = sg.mean_state_gradients(model, [3, 1, 4, 1, 2], max_delay=2)
    >>> means["state_gradient"].shape
    (3, 3, 2)
    """
    tensors, source = _tensors(path_or_state_dict)
    parts = _recurrent_modules(tensors)
    chosen = _chosen_recurrent(parts, recurrent, source)
    layers, read = [], set()
    for name in chosen:
        layers += _layers(name, parts[name], tensors, nonlinearity, source)
        read |= {tensor.name for part in parts[name].values() for tensor in part}
    table = None
    if embedding is not False:
        embedding = _chosen_embedding(tensors, embedding, layers[0].n_inputs, source)
        table = _floats(tensors[f"{embedding}.weight"], source)
        read |= _same(tensors, f"{embedding}.weight")
    _require_a_chain(embedding, table, layers, source)
    head = None if output is None else _linear(tensors, output, layers[-1], source)
    above = [above] if isinstance(above, str) else list(above)
    above += [] if output is None else [output]
    left = [name for name in tensors if name not in read]
    modules = {*chosen}
    if table is not None:
        modules |= _tables(tensors, embedding, above)
    _require_all_accounted_for(
        tensors, left, above, modules, table is not None, layers, source
    )
    halves = {tensors[name].dtype for name in read} & {*HALVES}
    dtype = _precision(tensors[name] for name in read)
    _say(layers, embedding, left, sorted(halves), source, report)
    return _build(embedding, table, layers, output, head, dtype)


# ----------------------------------------------------------------- what is stored


def _tensors(given):
    """Return ``{name: _Tensor}`` of a file or state dict, and what errors call it."""
    if isinstance(given, Mapping):
        return {name: _of_array(name, value) for name, value in given.items()}, (
            "the state dict"
        )
    if not isinstance(given, str | os.PathLike):
        raise ValueError(
            f"{WHO}: the weights must be a file or a state dict, received "
            f"{checks.short(given)}; of a module, give module.state_dict()."
        )
    path = Path(given)
    if not path.is_file():
        raise ValueError(f"{WHO}: {path} must be a file; correct the path.")
    checks.require_no_pointer(path, WHO)
    refuse_pickle(path)
    return _of_file(path), str(path)


def is_of_torch(path):
    """Return whether a file holds PyTorch's weights, by its name or its members."""
    path = Path(path)
    if not zipfile.is_zipfile(path):
        return path.suffix in (SUFFIX, *PICKLES)
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False  # what is wrong with it others say


def refuse_pickle(path):
    """Refuse what ``torch.save`` writes, by its name and its first bytes.

    Raises
    ------
    ValueError
        With the lines that make a safetensors file of it.
    """
    with path.open("rb") as file:
        begins = file.read(4)
    if path.suffix not in PICKLES and not begins.startswith(PICKLED):
        return
    raise ValueError(
        f"{WHO}: {path} must be a safetensors file, received a pickle, which is never "
        "opened here, for it may run any code. Where PyTorch is, two lines make a "
        "safetensors file of its weights; if it holds more than these, take them out "
        "of w first, as by w = w['state_dict']:\n"
        f"  import torch, safetensors.torch; w = torch.load({path.name!r}, "
        "map_location='cpu', weights_only=True)\n"
        "  safetensors.torch.save_file({k: v.clone().contiguous() for k, v in "
        f"w.items()}}, {path.with_suffix(SUFFIX).name!r})"
    )


def _of_file(path):
    try:
        import safetensors
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{WHO}: safetensors must be installed to read {path}, but is not; "
            "pip install 'state-gradients[torch]'.",
            name=error.name,
        ) from None
    try:
        with safetensors.safe_open(path, framework="np") as file:
            aliases = file.metadata() or {}
        parts = safetensors.deserialize(path.read_bytes())
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{WHO}: {path} must be a whole safetensors file, received {error}. "
            "Download it again; or write it again where it was made, by "
            f"safetensors.torch.save_model(model, {path.name!r})."
        ) from error
    found = {
        name: _Tensor(
            name,
            FLOATS.get(part["dtype"], part["dtype"]),
            tuple(part["shape"]),
            part["data"],
        )
        for name, part in parts
    }
    # save_model stores weights that are shared once, and notes their other names
    for name, stored in aliases.items():
        if stored in found and name not in found:
            found[name] = replace(found[stored], name=name)
    return found


def _of_array(name, value):
    try:
        array = np.ascontiguousarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{WHO}: the state dict must hold arrays, received {name!r}: {error}. "
            "Give {k: v.detach().cpu().float().numpy() for k, v in state_dict.items()}."
        ) from error
    return _Tensor(str(name), array.dtype.name, np.shape(value), array)


def _floats(tensor, source):
    """Return a weight as an array of float32 or float64, all finite."""
    if tensor.dtype not in FLOATS.values():
        raise ValueError(
            f"{WHO}: {tensor.name} of {source} must not be quantized, nor of whole "
            f"numbers, received {tensor.dtype}: codes are no weights. Give the weights "
            "from before, or those that are made of the codes."
        )
    if 0 in tensor.shape:
        raise ValueError(
            f"{WHO}: {tensor.name} of {source} must hold numbers, received shape "
            f"{tensor.shape}; is the file whole?"
        )
    if tensor.dtype == "bfloat16":  # the upper half of a float32
        bits = np.frombuffer(tensor.data, "<u2").astype("<u4") << 16
        array = bits.view("<f4")
    else:
        array = np.frombuffer(tensor.data, tensor.dtype)
    array = array.reshape(tensor.shape)
    if not np.isfinite(array).all():
        raise ValueError(
            f"{WHO}: the weights must be finite, received "
            f"{np.count_nonzero(~np.isfinite(array)):,} of {array.size:,} in "
            f"{tensor.name} of {source} that are not: the training diverged. Give the "
            "weights of an earlier step."
        )
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _precision(tensors):
    """Return the dtype of the model: float64 if a weight is, and the backend has it."""
    load_keras()
    from state_gradients.foundation import backends

    is_double = any(tensor.dtype == "float64" for tensor in tensors)
    return "float64" if is_double and backends.supports("float64") else "float32"


# ------------------------------------------------------------- which module is which


def _recurrent_modules(tensors):
    """Return ``{module: {layer: [_Tensor]}}`` of what is named as a recurrent one's."""
    modules = {}
    for name, tensor in tensors.items():
        if match := RECURRENT.fullmatch(name):
            module, _, layer = match.groups()
            modules.setdefault(module or "", {}).setdefault(int(layer), []).append(
                tensor
            )
    return {
        name: layers
        for name, layers in modules.items()
        if f"{_dotted(name)}weight_ih_l0" in tensors
    }


def _dotted(module):
    return f"{module}." if module else ""


def _chosen_recurrent(modules, asked, source):
    """Return the names of the recurrent modules, lowest first."""
    listed = ", ".join(
        f"{name!r} ({len(layers)} layers)" for name, layers in sorted(modules.items())
    )
    if asked is None:
        if len(modules) != 1:
            what = "several" if modules else "no such name"
            raise ValueError(
                f"{WHO}: {source} must hold one nn.RNN, nn.LSTM or nn.GRU (a weight "
                "NAME.weight_ih_l0), or `recurrent` (--recurrent) must name it, lowest "
                f"first if several read one another; received {what}"
                + (f": {listed}." if modules else ". Cells alone are not read.")
            )
        return list(modules)
    asked = [asked] if isinstance(asked, str) else list(asked)
    unknown = [name for name in asked if name not in modules]
    if unknown or not asked or len({*asked}) < len(asked):
        raise ValueError(
            f"{WHO}: `recurrent` (--recurrent) must name recurrent modules of "
            f"{source}, each once, received {checks.short(unknown or asked)}; there "
            f"are {listed or 'none'}."
        )
    return asked


def _layers(name, parts, tensors, nonlinearity, source):
    """Return the layers of one module, lowest first."""
    dotted = _dotted(name)
    called = name or "the recurrent module"
    own = [other for other in tensors if other.startswith(dotted)]
    own = [other for other in own if OF_RECURRENT.match(other.removeprefix(dotted))]
    if reverse := [other for other in own if other.endswith("_reverse")]:
        raise ValueError(
            f"{WHO}: {called} of {source} must read forwards only, received a "
            f"bidirectional module, with {reverse[0]}: of its states no mean over the "
            "past is told from one over the future. Train it with bidirectional=False."
        )
    if projected := [other for other in own if "weight_hr" in other]:
        raise ValueError(
            f"{WHO}: {called} of {source} must have no projection, received one of "
            f"`proj_size`, {projected[0]}, which Keras's LSTM does not have. Train it "
            "with proj_size=0."
        )
    of_layers = {tensor.name for layer in parts.values() for tensor in layer}
    if other := sorted({*own} - of_layers):
        raise ValueError(
            f"{WHO}: {called} of {source} must compute with the weights as they are, "
            f"received {other[0]} beside them, as weight_norm or weight drop leave. "
            "Remove these (torch.nn.utils), and save the module again."
        )
    found = [
        _layer(f"{dotted}{{}}_l{k}", tensors, f"{name or 'rnn'}_l{k}", source)
        for k in range(len(parts))
    ]
    if any(layer.kind == "RNN" for layer in found):
        _require_nonlinearity(nonlinearity, called, source)
        found = [_Layer(nonlinearity, *list(vars(one).values())[1:]) for one in found]
    return found


def _require_nonlinearity(nonlinearity, called, source):
    if not checks.is_one_of(nonlinearity, NONLINEARITIES):
        raise ValueError(
            f"{WHO}: `nonlinearity` (--nonlinearity) must be given for {called} of "
            f"{source}, an nn.RNN, and be one of {NONLINEARITIES}, received "
            f"{checks.short(nonlinearity)}: no weight tells it. PyTorch's default is "
            "'tanh'."
        )


def _layer(pattern, tensors, name, source):
    """Return one layer, its shapes checked."""
    keys = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    parts = {key: tensors.get(pattern.format(key)) for key in keys}
    shapes = {key: part.shape for key, part in parts.items() if part is not None}
    rows, units = (*shapes.get("weight_hh", ()), 0, 0)[:2]
    kind = KINDS.get(rows // units) if units and rows % units == 0 else None
    expected = {"weight_ih": 2, "weight_hh": 2}
    expected |= {key: 1 for key in ("bias_ih", "bias_hh") if len(shapes) > 2}
    fits = kind and {key: len(shape) for key, shape in shapes.items()} == expected
    if not fits or any(shape[0] != rows for shape in shapes.values()):
        raise ValueError(
            f"{WHO}: {name} of {source} must have weight_ih (n, in) and weight_hh "
            "(n, units), n being 1 (nn.RNN), 3 (nn.GRU) or 4 (nn.LSTM) times the "
            "units, and both biases (n,) or neither, received "
            f"{checks.short(shapes or None, 200)}; are all weights of the module there?"
        )
    arrays = [
        None if part is None else _floats(part, source) for part in parts.values()
    ]
    return _Layer(kind, name, *arrays)


def _chosen_embedding(tensors, asked, width, source):
    """Return the name of the embedding: rows as wide as what the lowest layer reads."""
    candidates = {
        name.removesuffix(".weight"): tensor
        for name, tensor in tensors.items()
        if _is_table(name, tensors) and tensor.shape[1] == width
    }
    listed = ", ".join(
        f"{name!r} {tensor.shape}" for name, tensor in sorted(candidates.items())
    )
    if asked is None:
        if len({bytes(tensor.data) for tensor in candidates.values()}) != 1:
            raise ValueError(
                f"{WHO}: {source} must hold one nn.Embedding of {width} columns, which "
                "the lowest recurrent layer reads, or `embedding` (--embedding) must "
                "name it (embedding=False, or --inputs, if that layer reads numbers), "
                f"received {listed or 'none'}."
            )
        return min(candidates)
    if not isinstance(asked, str) or f"{asked}.weight" not in tensors:
        raise ValueError(
            f"{WHO}: `embedding` (--embedding) must name a module of {source} that has "
            f"a weight, or be False, received {checks.short(asked)}; those that fit "
            f"are {listed or 'none'}."
        )
    return asked


def _same(tensors, name):
    """Return the names of a weight, which are several where it is tied."""
    shape, data = tensors[name].shape, bytes(tensors[name].data)
    return {
        other
        for other, tensor in tensors.items()
        if other.endswith(".weight")
        and tensor.shape == shape
        and bytes(tensor.data) == data
    }


def _is_table(name, tensors):
    """Return whether a weight may be an embedding's: a matrix without a bias."""
    module, _, last = name.rpartition(".")
    is_matrix = last == "weight" and len(tensors[name].shape) == 2
    return module != "" and is_matrix and f"{module}.bias" not in tensors


def _require_a_chain(embedding, table, layers, source):
    """Refuse an embedding or layers that do not fit the one above in their widths."""
    widths = [(layer.name, layer.n_inputs, layer.units) for layer in layers]
    if table is not None:
        if table.ndim != 2:
            raise ValueError(
                f"{WHO}: {embedding}.weight of {source} must be a matrix (words, "
                f"columns), received shape {table.shape}; name another `embedding`."
            )
        widths.insert(0, (embedding, None, table.shape[1]))
    for (below, _, given), (name, expected, _) in pairwise(widths):
        if given != expected:
            raise ValueError(
                f"{WHO}: {name} of {source} must read what {below} gives, of width "
                f"{given}, received weights for width {expected}: something stands "
                "between. Name other modules, or build the model in Keras with what "
                "is between, and give it the weights."
            )


def _linear(tensors, name, layer, source):
    """Return kernel and bias, or None, of an nn.Linear on the highest layer."""
    weight, bias = (tensors.get(f"{name}.{part}") for part in ("weight", "bias"))
    shape = None if weight is None else weight.shape
    fits = shape and len(shape) == 2 and shape[1] == layer.units
    if not fits or (bias is not None and bias.shape != shape[:1]):
        raise ValueError(
            f"{WHO}: `output` must name an nn.Linear of {source} that reads the "
            f"{layer.units} units of {layer.name}, received {checks.short(name)} with "
            f"a weight of shape {shape}; leave it out, for no state gradient needs it."
        )
    return _floats(weight, source), None if bias is None else _floats(bias, source)


# ------------------------------------------------------------------ what is not read


def _tables(tensors, embedding, above):
    """Return the names of the embedding: those of its weight that no head has.

    A tied weight has several. A module with a bias is an nn.Linear on the states, and
    one of `above` is said to be.
    """
    tied = _same(tensors, f"{embedding}.weight")
    tables = {name.removesuffix(".weight") for name in tied if _is_table(name, tensors)}
    return tables - {*above} or {embedding}


def _require_all_accounted_for(
    tensors, left, above, modules, has_table, layers, source
):
    """Refuse weights that are not read, unless they are above those that are.

    Parameters
    ----------
    tensors : dict of str to _Tensor
    left : list of str
        The names of those that are not read.
    above : list of str
        Modules and weights that are said to stand above.
    modules : set of str
        Those that are read, under all names of theirs.
    has_table : bool
        False if the lowest layer reads numbers.
    layers : list of _Layer
    source : str
    """
    # PEFT moves a module to MODULE.base_layer, and puts LoRA's weights beside it
    modules = {name.removesuffix(".base_layer") for name in modules}
    holders = {holder for module in modules for holder in _holders(module)}
    above = {*above} - modules - holders
    left = [
        name
        for name in left
        if not any(name == one or name.startswith(f"{one}.") for one in above)
    ]
    for module in sorted(modules):
        if own := [name for name in left if name.startswith(_dotted(module))]:
            raise ValueError(
                f"{WHO}: all weights in {module or 'the recurrent module'} of {source} "
                f"must be read, received others, {_shapes(own, tensors)}, which may "
                "change what it computes, as peepholes, norms of the gates or LoRA do. "
                "If they act between embedding and state, build the model in Keras "
                "with what they do, and give it the weights; if not, take them out of "
                "the weights, or name them in `above` (--above)."
            )
    common = max(set.intersection(*map(_holders, modules)), key=len, default="")
    _require_above(tensors, left, holders, common, has_table, layers, source)


def _holders(module):
    """Return the modules that hold another: of "a.b.c" these are "", "a" and "a.b"."""
    parts = module.split(".") if module else []
    return {".".join(parts[:n]) for n in range(len(parts))}


def _require_above(tensors, left, holders, common, has_table, layers, source):
    """Refuse weights that could act between embedding and state.

    A bare parameter of a module that holds those that are read may be anything. Between
    an embedding and a layer of the same width w stands only what leads from w to w: a
    square nn.Linear, a norm, or a chain of modules; or a table of w columns is added,
    or a single number scales it. Below a layer that reads numbers stands whatever gives
    its width. And a state to start from has the layer's units.
    """
    bare = {name for name in left if _owner(name) in holders}
    left = [name for name in left if name not in bare]
    doubtful = _of_fitting_widths(tensors, left, has_table, layers)
    doubtful |= _scales(tensors, left, holders, common)
    doubtful |= {
        _module(name)
        for name in left
        if _is_of_positions(tensors[name], layers)
        or _is_start(tensors[name], _beyond(name, holders), layers)
    }
    if bare or doubtful:
        own = [name for name in left if _module(name) in doubtful]
        raise ValueError(
            f"{WHO}: what stands below the recurrent layers of {source} must be "
            f"known, received {checks.short(sorted(bare | doubtful), 200)}, whose "
            f"shapes would fit there: {_shapes(sorted({*own} | bare), tensors)}. Name "
            "those that do not in `above` (--above), or take them out of the weights; "
            "if one does, or is a state to start from, build the model in Keras with "
            "what it does, and give it the weights."
        )


def _module(name):
    return name.rpartition(".")[0]


def _owner(name):
    """Return the module whose parameter, or list of parameters, a weight is (of)."""
    while name.rpartition(".")[2].isdigit():  # in an nn.ParameterList
        name = _module(name)
    return _module(name)


def _shapes(names, tensors):
    return checks.short({name: tensors[name].shape for name in names}, 400)


def _of_fitting_widths(tensors, left, has_table, layers):
    """Return the modules whose shapes would fit below a layer."""
    modules = {_module(name) for name in left}
    edges = {module: _edges(module, left, tensors) for module in modules}
    pairs = {edge for of_module in edges.values() for edge in of_module}
    joints = {layer.n_inputs for layer in (layers if has_table else layers[1:])}
    fitting = set()
    for width in joints:
        after = _reached(width, pairs)
        before = _reached(width, {(b, a) for a, b in pairs})
        fitting |= {
            module
            for module, of_module in edges.items()
            if any(a in after and b in before for a, b in of_module)
            or _is_table_of(width, f"{module}.weight", left, tensors)
        }
    if not has_table:
        width = layers[0].n_inputs
        fitting |= {
            module
            for module, of_module in edges.items()
            if any(b == width for _, b in of_module)
        }
    return fitting


def _scales(tensors, left, holders, common):
    """Return the modules of single numbers beside those that are read.

    A number fits any width. One that stands in `common`, the module that holds all that
    is read, may act below, unless other weights of its branch show where that is, as of
    a PReLU in a head.
    """
    numbers, others = {}, set()  # by branch of a holder
    for name in left:
        if name.startswith(_dotted(common)):
            beyond = _beyond(name, holders)
            branch = name.removesuffix(beyond) + beyond.partition(".")[0]
            if np.prod(tensors[name].shape) == 1:
                numbers.setdefault(branch, set()).add(_module(name))
            else:
                others.add(branch)
    return {
        module
        for branch, modules in numbers.items()
        for module in modules
        if branch not in others
    }


def _beyond(name, holders):
    """Return what is left of a name without the longest of the holders' names."""
    return min((name.removeprefix(_dotted(holder)) for holder in holders), key=len)


def _is_buffer(tensor):
    """Return whether no module of PyTorch's own has a parameter of such a name."""
    return not OF_MODULES.search(tensor.name.rpartition(".")[2])


def _is_of_positions(tensor, layers):
    """Return whether a weight may be a table of positions, (.., columns)."""
    shape, widths = tensor.shape, {layer.n_inputs for layer in layers}
    return _is_buffer(tensor) and len(shape) > 1 and shape[-1] in widths


def _is_start(tensor, name, layers):
    """Return whether a weight may be, or make, the state that a layer starts from.

    It is called so, or has the shape of one: (layers, 1, units), or for an LSTM
    (2, units), whatever of these is left out.
    """
    shape, units = tensor.shape, {layer.units for layer in layers}
    if STARTS.search(name):
        return not units.isdisjoint(shape)
    has_shape = len(shape) > 1 and {*shape[:-1]} <= {1, 2, len(layers)}
    return _is_buffer(tensor) and has_shape and shape[-1] in units


def _is_table_of(width, name, left, tensors):
    """Return whether a weight may be another embedding's, to be added to the first."""
    return name in left and _is_table(name, tensors) and tensors[name].shape[1] == width


def _edges(module, left, tensors):
    """Return pairs of widths (read, given) of a module, by its weights' shapes.

    A recurrent module or cell gives its units, twice as many if it reads both ways. A
    convolution (out, in / groups, ..) reads a multiple of its second axis.
    """
    own = [name for name in left if _module(name) == module]
    shapes = {name.removeprefix(f"{module}."): tensors[name].shape for name in own}
    for end in ("_l0", ""):
        ih, hh = (shapes.get(f"weight_{part}{end}", ()) for part in ("ih", "hh"))
        if len(ih) == len(hh) == 2:
            ways = 2 if f"weight_hh{end}_reverse" in shapes else 1
            return {(ih[1], ways * hh[1])}
    edges = {(shape[1], shape[0]) for shape in shapes.values() if len(shape) > 1}
    for given, read, *_ in (shape for shape in shapes.values() if len(shape) > 2):
        groups = (n for n in range(1, given + 1) if given % n == 0)
        edges |= {(read * n, given) for n in groups}
    return edges or {(shape[0], shape[0]) for shape in shapes.values() if shape}


def _reached(width, edges):
    """Return the widths that some edges lead to from one, itself among them."""
    reached, found = set(), {width}
    while found - reached:
        reached |= found
        found = {b for a, b in edges if a in reached}
    return reached


def _say(layers, embedding, left, halves, source, report):
    """Report what is read; warn of half precision where nobody listens."""
    names = ", ".join(
        f"{layer.name} ({_in_keras(layer)[0]}, {layer.units} units)" for layer in layers
    )
    lines = [f"{source}: read {f'{embedding}, ' if embedding else ''}{names}"]
    if left:
        modules = sorted({name.rpartition(".")[0] or name for name in left})
        lines.append(f"not read, for it stands above: {', '.join(modules)}")
    if halves:
        bits = " and ".join(
            f"{name} (to a part in 2^{HALVES[name]})" for name in halves
        )
        lines.append(
            f"{WHO}: weights of {source} are read as float32, but are rounded to {bits}"
        )
        if report is None:
            warnings.warn(lines[-1], stacklevel=3)
    for line in lines if report else ():
        report(line)


# ------------------------------------------------------------------ the Keras model


def _build(embedding, table, layers, output, head, dtype):
    """Return the Keras model."""
    keras = load_keras()
    stack, weights = [], []
    if table is None:
        stack.append(keras.Input((None, layers[0].n_inputs), dtype=dtype))
    else:
        stack.append(keras.Input((None,), dtype="int32"))
        name = _keras_name(embedding)
        stack.append(keras.layers.Embedding(*table.shape, name=name, dtype=dtype))
        weights.append([table])
    for layer in layers:
        kind, options = _in_keras(layer)
        stack.append(
            getattr(keras.layers, kind)(
                layer.units,
                return_sequences=True,
                use_bias=layer.bias_ih is not None,
                name=_keras_name(layer.name),
                dtype=dtype,
                **options,
            )
        )
        weights.append(_keras_weights(layer))
    if head is not None:
        kernel, bias = head
        use_bias, name = bias is not None, _keras_name(output)
        stack.append(
            keras.layers.Dense(len(kernel), use_bias=use_bias, name=name, dtype=dtype)
        )
        weights.append([kernel.T, *([] if bias is None else [bias])])
    model = keras.Sequential(stack)
    for layer, values in zip(model.layers, weights, strict=True):
        layer.set_weights(values)
    return model


def _keras_name(name):
    """Return PyTorch's name as Keras takes it: no slash, and no dot for files' sake."""
    return re.sub(r"[^\w-]", "_", name) or None


def _in_keras(layer):
    """Return the name of Keras's layer, and its options."""
    if layer.kind in NONLINEARITIES:
        return "SimpleRNN", {"activation": layer.kind}
    return layer.kind, {"reset_after": True} if layer.kind == "GRU" else {}


def _keras_weights(layer):
    """Return a layer's weights in the order and shapes of Keras."""
    if layer.kind != "GRU":
        weights = [layer.weight_ih.T, layer.weight_hh.T]
        if layer.bias_ih is None:
            return weights
        return [*weights, layer.bias_ih + layer.bias_hh]

    def zrh(rows):
        r, z, n = np.split(rows, 3)
        return np.concatenate([z, r, n])

    weights = [zrh(layer.weight_ih).T, zrh(layer.weight_hh).T]
    if layer.bias_ih is None:
        return weights
    return [*weights, np.stack([zrh(layer.bias_ih), zrh(layer.bias_hh)])]
