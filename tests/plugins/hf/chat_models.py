"""Tokenizers with chat templates that write what those of public models write, on tiny vocabularies.

The templates are written for these tests after the published ones: same text, same begin and end tokens, same trimming.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers

from tests.plugins.hf import tokenizers

CHATML = """{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system
DEFAULT<|im_end|>
{% endif %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

QWEN25 = CHATML.replace("DEFAULT", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
SMOLLM2 = CHATML.replace("DEFAULT", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")

QWEN3 = """{%- set ns = namespace(last=-1) %}
{%- for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for m in messages %}
{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' %}
{%- set thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\\n') if '</think>' in m.content else '' %}
{%- set content = m.content.split('</think>')[-1].lstrip('\\n') %}
{%- if loop.index0 > ns.last and (loop.last or thought) %}{{- '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}
{{- content }}
{%- else %}{{- m.content }}{% endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}"""

LLAMA31 = """{{- bos_token }}
{%- set system = messages[0].content | trim if messages[0].role == 'system' else '' %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n' }}
{{- 'Today Date: 26 Jul 2024\\n\\n' + system + '<|eot_id|>' }}
{%- for m in messages if m.role != 'system' %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

LLAMA2 = """{%- set system = messages[0].content if messages[0].role == 'system' else none %}
{%- for m in (messages[1:] if system else messages) %}
{%- if m.role == 'user' %}
{%- set said = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m.content if loop.first and system else m.content %}
{{- bos_token + '[INST] ' + said.strip() + ' [/INST]' }}
{%- else %}{{- ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}
{%- endfor %}"""

MISTRAL = """{{- bos_token }}
{%- for m in messages %}
{%- if m.role == 'user' %}{{- '[INST] ' + m.content + '[/INST]' }}
{%- elif m.role == 'assistant' %}{{- ' ' + m.content | trim + eos_token }}
{%- else %}{{- raise_exception('Only user and assistant roles are supported') }}{% endif %}
{%- endfor %}"""

GEMMA = """{{- bos_token }}
{%- for m in messages %}
{%- if m.role == 'system' %}{{- raise_exception('System role not supported') }}{% endif %}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim }}
{{- '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{% endif %}"""

PHI3 = """{% set tag = {'system': '<|system|>', 'user': '<|user|>', 'assistant': '<|assistant|>'} %}
{%- for m in messages %}{{ tag[m.role] + '\\n' + m.content + '<|end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% else %}{{- eos_token }}{% endif %}"""

ZEPHYR = """{% for m in messages %}
{{ '<|' + m.role + '|>\\n' + m.content + eos_token }}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

OLMO2 = """{{ bos_token }}{% for m in messages %}
{%- if m.role == 'assistant' %}{{- '<|assistant|>\\n' + m.content + eos_token }}
{%- if not loop.last %}{{- '\\n' }}{% endif %}
{%- else %}{{- '<|' + m.role + '|>\\n' + m.content + '\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% endif %}"""

GRANITE = """{%- if messages[0].role != 'system' %}
{{- '<|start_of_role|>system<|end_of_role|>You are Granite, developed by IBM.<|end_of_text|>\\n' }}
{%- endif %}
{%- for m in messages %}
{{- '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"""

COMMAND_R = """{{- bos_token }}
{%- for m in messages %}
{%- set who = {'system': '<|SYSTEM_TOKEN|>', 'user': '<|USER_TOKEN|>', 'assistant': '<|CHATBOT_TOKEN|>'}[m.role] %}
{{- '<|START_OF_TURN_TOKEN|>' + who + m.content.strip() + '<|END_OF_TURN_TOKEN|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"""


def _qwen() -> Tokenizer:
    return tokenizers.byte_level(tokenizers.QWEN_SPLIT, is_composed=True)


def _llama3() -> Tokenizer:
    return tokenizers.byte_level(tokenizers.LLAMA3_SPLIT, begin="<|begin_of_text|>")


def _gemma() -> Tokenizer:
    return tokenizers.with_byte_fallback(
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
    )


def _legacy_llama() -> Tokenizer:
    return tokenizers.with_byte_fallback(
        normalizer=tokenizers.legacy_normalizer(), pre_tokenizer=pre_tokenizers.Sequence([])
    )


def _mistral() -> Tokenizer:
    return tokenizers.with_byte_fallback(("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))


@dataclass(frozen=True, kw_only=True)
class ChatModel:
    """A public model's tokenizer in small."""

    make: Callable[[], Tokenizer]
    template: str
    specials: Sequence[str] = ()
    marks: Sequence[str] = ()
    begin: str | None = None
    end: str
    ends_with: str
    """The control token that closes an answer."""
    swallows: bool = False
    """Its special tokens take in the blanks after them."""
    has_system: bool = True
    trims: bool = False

    def write(self, folder: Path, rename: Callable[[str], str] = lambda name: name) -> Path:
        """Write its files; with `rename` all control tokens have other names."""
        tokens = {"bos_token": self.begin} if self.begin else {}
        named = [tokenizers.special(name, rstrip=self.swallows) for name in self.specials]
        return tokenizers.write(
            folder,
            self.make(),
            specials=named,
            marks=self.marks,
            template=self.template,
            rename=rename,
            eos_token=self.end,
            **tokens,
        )


IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

MODELS = {
    "qwen2.5": ChatModel(
        make=_qwen, template=QWEN25, specials=IM, marks=("<tool_call>",), end="<|im_end|>", ends_with="<|im_end|>"
    ),
    "qwen3": ChatModel(
        make=_qwen,
        template=QWEN3,
        specials=IM,
        marks=("<think>", "</think>"),
        end="<|im_end|>",
        ends_with="<|im_end|>",
    ),
    "llama3.1": ChatModel(
        make=_llama3,
        template=LLAMA31,
        specials=("<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        begin="<|begin_of_text|>",
        end="<|eot_id|>",
        ends_with="<|eot_id|>",
        trims=True,
    ),
    "llama2": ChatModel(
        make=tokenizers.with_byte_fallback, template=LLAMA2, begin="<s>", end="</s>", ends_with="</s>", trims=True
    ),
    "llama2-legacy": ChatModel(
        make=_legacy_llama, template=LLAMA2, begin="<s>", end="</s>", ends_with="</s>", trims=True
    ),
    "mistral": ChatModel(make=_mistral, template=MISTRAL, begin="<s>", end="</s>", ends_with="</s>", has_system=False),
    "gemma": ChatModel(
        make=_gemma,
        template=GEMMA,
        begin="<bos>",
        end="<eos>",
        ends_with="<end_of_turn>",
        has_system=False,
        trims=True,
    ),
    "phi3": ChatModel(
        make=tokenizers.with_byte_fallback,
        template=PHI3,
        specials=("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        begin="<s>",
        end="<|endoftext|>",
        ends_with="<|end|>",
        swallows=True,
    ),
    "smollm2": ChatModel(
        make=tokenizers.byte_level, template=SMOLLM2, specials=IM, end="<|im_end|>", ends_with="<|im_end|>"
    ),
    "zephyr": ChatModel(make=tokenizers.with_byte_fallback, template=ZEPHYR, begin="<s>", end="</s>", ends_with="</s>"),
    "olmo2": ChatModel(
        make=tokenizers.byte_level,
        template=OLMO2,
        specials=("<|endoftext|>", "<|pad|>"),
        begin="<|endoftext|>",
        end="<|endoftext|>",
        ends_with="<|endoftext|>",
    ),
    "granite": ChatModel(
        make=tokenizers.byte_level,
        template=GRANITE,
        specials=("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"),
        begin="<|end_of_text|>",
        end="<|end_of_text|>",
        ends_with="<|end_of_text|>",
    ),
    "command-r": ChatModel(
        make=tokenizers.byte_level,
        template=COMMAND_R,
        specials=(
            "<BOS_TOKEN>",
            "<|START_OF_TURN_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|USER_TOKEN|>",
            "<|CHATBOT_TOKEN|>",
            "<|SYSTEM_TOKEN|>",
        ),
        begin="<BOS_TOKEN>",
        end="<|END_OF_TURN_TOKEN|>",
        ends_with="<|END_OF_TURN_TOKEN|>",
        trims=True,
    ),
}
