"""Check of the prompt style with the tokenizer of the model."""

from __future__ import annotations

from collections.abc import Iterator

from sftframe.config import RunConfig
from sftframe.doctor.hardware import Finding
from sftframe.errors import SftframeError
from sftframe.network.offline import no_network
from sftframe.pipeline import resolve
from sftframe.plugins import ModelBackend, PromptStyle, Tokenizer
from sftframe.prompts import written_control_tokens
from sftframe.registry import Registry, Seam


def check_prompt(config: RunConfig, registry: Registry) -> Iterator[Finding]:
    """A finding on the control tokens that a prompt style writes, for a model whose tokenizer may read their names.

    Nothing is fetched for it: what is not on this machine yet is looked at by the run.
    """
    try:
        backend = registry.find(Seam.MODEL, config.model.name)
        assert issubclass(backend, ModelBackend)
        if backend.tokenizer_folder is ModelBackend.tokenizer_folder:
            return
        with no_network("sftframe doctor"):
            resolved = resolve(config.model_dump(mode="json", exclude_unset=True), registry)
            style = registry.prompt_style(resolved.prompt.name, resolved.prompt.options)
            tokenizer = registry.model_backend(resolved.model.name, resolved.model.options).tokenizer()
            found = _about(style, tokenizer)
    except SftframeError as error:
        yield Finding(
            topic="prompt",
            status="note",
            found=f"control tokens could not be looked at: {error}",
            advice="sftframe preview fetches the tokenizer and marks them",
        )
        return
    if tokenizer.reads_control_names:
        yield Finding(topic="prompt", found=found)


def _about(style: PromptStyle, tokenizer: Tokenizer) -> str:
    from sftframe.prompts.tokens import ending_ids

    names = ", ".join(written_control_tokens(style, tokenizer)) or "none"
    ends = {*ending_ids(style, tokenizer), tokenizer.end_id}
    ending = " or ".join(name for name, token_id in tokenizer.control_tokens.items() if token_id in ends)
    begin = "".join(name for name, token_id in tokenizer.control_tokens.items() if token_id in tokenizer.begin_ids)
    front = f"every example begins with {begin}; " if begin else ""
    return f"{style.name} writes these control tokens: {names}; {front}an answer ends with {ending}"
