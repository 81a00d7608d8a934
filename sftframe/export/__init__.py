"""A fine-tuned model with its prompt written out for other programs: what is the same for every model.

From the prompt style alone come a `PromptTemplate`, the Jinja chat template and Ollama's `Modelfile`; `write_export`
puts them beside what the model writes of itself. Knows nothing of runs, networks and file formats of weights.
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
