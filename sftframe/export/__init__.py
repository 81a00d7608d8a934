"""Exports a fine-tuned model with its prompt for other programs: the parts that are the same for every model.

The `PromptTemplate`, the Jinja chat template and Ollama's `Modelfile` are made from the prompt style alone;
`write_export` puts them next to the files of the model.
"""

from sftframe.export.chat_template import chat_template
from sftframe.export.folder import check_out, write_export
from sftframe.export.modelfile import modelfile
from sftframe.export.template import PromptTemplate, Slot, control_tokens_in, derive_template

__all__ = [
    "PromptTemplate",
    "Slot",
    "chat_template",
    "check_out",
    "control_tokens_in",
    "derive_template",
    "modelfile",
    "write_export",
]
