"""Reads YAML that people write: plain values, each name once, and of a size to show.

YAML lets a name stand twice (the last wins), takes ``on`` and ``3`` for names that are
no text, and lets nine lines of aliases stand for a billion values. Here each of these
is refused, with its line; no object is ever built.
"""

import contextlib
import copy
import functools

import yaml

from state_gradients.foundation.checks import short

LARGEST = 1_000_000  # bytes, and characters once aliases are written out
TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
# What PyYAML raises for no YAML, and for a value that is not of the kind it says.
BROKEN = (
    yaml.YAMLError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    TypeError,
    RecursionError,
)


def read_yaml(path):
    """Return the value of a YAML file, None if there is none or it is empty.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    ValueError
        If it is no file, too large, not UTF-8 or no YAML, builds anything but plain
        values, or names a thing twice or by what is no text.
    """
    text = _text(path)
    return None if text is None else copy.deepcopy(_parsed(path, text))


@functools.lru_cache(maxsize=8)
def _parsed(path, text):
    """Return the value of a text; each experiment asks for that of all."""
    with _as_yaml(path):
        loader = yaml.SafeLoader(text)  # it builds plain values only
        node = loader.get_single_node()
    if node is None:
        return None
    with _as_yaml(path, RecursionError):
        _refuse_too_large(node, path)
        _refuse_unclear_names(node, path)
    with _as_yaml(path):
        return loader.construct_document(node)


def _text(path):
    """Return what stands in a file, None if nothing stands at its place."""
    if path.is_symlink() and not path.exists():
        received = f"a link to {path.readlink()}, which is not there"
    elif not path.exists():
        return None
    elif path.is_dir():
        received = "a folder"
    else:
        received = None if path.is_file() else "something else"
    if received:
        raise ValueError(
            f"params: {path} must be a file, received {received}; move it away."
        )
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(
            f"params: {path} must hold at most {LARGEST:,} bytes, received {size:,}; "
            "is it a params file?"
        )
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"params: {path} must be UTF-8, received {error.reason} at byte "
            f"{error.start}; convert it (see `iconv`)."
        ) from None


@contextlib.contextmanager
def _as_yaml(path, kinds=BROKEN):
    """Raise what PyYAML stumbles over as one line that names the file."""
    try:
        yield
    except kinds as error:
        if isinstance(error, yaml.YAMLError):
            said = " ".join(str(error).split())
        else:
            said = f"{type(error).__name__}: {error}"
        said = said if len(said) <= 300 else f"{said[:296]} ..."
        raise ValueError(f"params: {path} must be YAML, received: {said}") from None


def _children(node):
    if isinstance(node, yaml.ScalarNode):
        return []
    if isinstance(node, yaml.SequenceNode):
        return node.value
    return [child for pair in node.value for child in pair]


def _refuse_too_large(node, path):
    """Refuse what aliases make larger than a file may be, before it is built."""
    characters = {}  # of each node, with its aliases written out; None while counted

    def written_out(node):
        if id(node) not in characters:
            characters[id(node)] = None
            sizes = [written_out(child) for child in _children(node)]
            own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
            characters[id(node)] = 1 + own + sum(sizes)
        if characters[id(node)] is None:
            raise ValueError(
                f"params: {_place(node, path)} must hold no alias inside what it "
                "stands for; write it out."
            )
        return characters[id(node)]

    if (size := written_out(node)) > LARGEST:
        raise ValueError(
            f"params: {path} must hold at most {LARGEST:,} characters with its aliases "
            f"written out, received {'far more' if size > 1e12 else f'{size:,}'}; "
            "write out what is meant."
        )


def _refuse_unclear_names(node, path):
    """Refuse a name that is no text, or that a mapping has had."""
    nodes = [node]
    seen = set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # by an alias
            continue
        seen.add(id(node))
        nodes += _children(node)
        if isinstance(node, yaml.MappingNode):
            _refuse_unclear_keys([key for key, _ in node.value], path)


def _refuse_unclear_keys(keys, path):
    first = {}
    for key in keys:
        if key.tag not in (TEXT, MERGE):
            is_one = isinstance(key, yaml.ScalarNode)
            raise ValueError(
                f"params: {_place(key, path)} must name things by text, received "
                f"{short(key.value) if is_one else 'several values'}, which YAML "
                f"reads as {key.tag.rpartition(':')[2]}; put it in quotes."
            )
        if key.value in first:
            raise ValueError(
                f"params: {_place(key, path)} must not name {short(key.value)} again, "
                f"received it in line {first[key.value]}; keep one."
            )
        first[key.value] = key.start_mark.line + 1


def _place(node, path):
    return f"line {node.start_mark.line + 1} of {path}"
