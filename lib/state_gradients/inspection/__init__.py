"""A reader's own network: from a saved model and a text to its memory curves.

Read `model_curves` (a model and ids, all of it in one call), `model_files` (a model
from its file), `text_files` and `number_files` (what it is asked about, read and found
to fit), `sentence_files` (a sentence, word by word), then `tables` and `results` (what
is printed, and what is left in a folder).
"""

from state_gradients.inspection.model_curves import inspect_model
from state_gradients.inspection.number_files import (
    AskedOfNumbers,
    inspect_inputs,
    open_inputs,
)
from state_gradients.inspection.results import read, write
from state_gradients.inspection.sentence_files import inspect_sentence
from state_gradients.inspection.tables import (
    SHOWN_DELAYS,
    feature_table,
    narrow_property_table,
    narrow_sentence_table,
    property_table,
    sentence_table,
    table,
)
from state_gradients.inspection.text_files import (
    WORDS_DRAWN,
    Asked,
    inspect_files,
    open_files,
)
from state_gradients.text.encoding import read_ids, read_vocabulary

__all__ = [
    "SHOWN_DELAYS",
    "WORDS_DRAWN",
    "Asked",
    "AskedOfNumbers",
    "feature_table",
    "inspect_files",
    "inspect_inputs",
    "inspect_model",
    "inspect_sentence",
    "narrow_property_table",
    "narrow_sentence_table",
    "open_files",
    "open_inputs",
    "property_table",
    "read",
    "read_ids",
    "read_vocabulary",
    "sentence_table",
    "table",
    "write",
]
