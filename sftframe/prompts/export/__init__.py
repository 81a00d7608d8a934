"""A fine-tuned model with its prompt for other programs: the parts that are the same for every model.

The `PromptTemplate`, the Jinja chat template and Ollama's `Modelfile` are made from the prompt style alone;
`write_export` puts them next to the files of the model.
"""

from sftframe.prompts.export.chat_template import chat_template
from sftframe.prompts.export.derived import (
    PromptTemplate,
    Slot,
    control_tokens_in,
    derive_template,
    written_control_tokens,
)
from sftframe.prompts.export.folder import check_out, write_export
from sftframe.prompts.export.modelfile import modelfile

__all__ = [
    "PromptTemplate",
    "Slot",
    "chat_template",
    "check_out",
    "control_tokens_in",
    "derive_template",
    "modelfile",
    "write_export",
    "written_control_tokens",
]
