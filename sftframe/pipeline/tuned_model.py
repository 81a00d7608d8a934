"""A finished run's model and prompt style, for use without its data, judge or collate strategy.

Chat and export build on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sftframe.config import Layer, RunConfig
from sftframe.device import choose_device, set_up_threads
from sftframe.errors import ConfigError, ModelError
from sftframe.inference import generation_settings
from sftframe.pipeline import manifest
from sftframe.plugins import CausalLM, ModelBackend, PromptStyle
from sftframe.progress import Observer
from sftframe.prompts.tokens import encode_prompts, writes
from sftframe.records import Example, GenerationSettings, Response
from sftframe.registry import Registry
from sftframe.runs import RunStore, manifest_entry, read_changed_config
from sftframe.trust import require_run


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run with a fine-tuned model that is not loaded yet."""

    folder: RunStore
    config: RunConfig
    style: PromptStyle
    backend: ModelBackend

    @classmethod
    def open(cls, path: Path, registry: Registry, layer: Layer | None = None) -> FinishedRun:
        """The run in a folder.

        Args:
            layer: settings that differ from the run's, for instance `{"generate": {"temperature": 0.7}}`.

        Raises:
            ConfigError: there is no run, or it has no model yet.
            PluginError: the prompt style writes other text than when the model was trained.
        """
        folder = RunStore.open(path)
        if not folder.model_dir.is_dir():
            raise ConfigError(f"{path} has no model yet: train it first with sftframe run --resume {path}")
        config = read_changed_config(folder, layer or {})
        registry = registry.preferring(folder.providers())
        require_run(path, registry, layer or {})
        style = registry.prompt_style(config.prompt.name, config.prompt.options)
        backend = registry.model_backend(config.model.name, config.model.options)
        manifest.check_template(folder, style, backend.tokenizer(folder.model_dir))
        return cls(folder=folder, config=config, style=style, backend=backend)

    @property
    def knows_conversations(self) -> bool:
        """Whether it was trained on conversations of several exchanges."""
        return bool(manifest_entry(self.folder.manifest(), "data.conversations"))

    def load(self, observer: Observer) -> TunedModel:
        """Load the model."""
        set_up_threads(self.config.threads)
        device = choose_device(self.config.device)
        observer.begin("load model", None, "models")
        model = self.backend.load(device=device, dtype="float32", seed=self.config.seed, saved=self.folder.model_dir)
        observer.end()
        return TunedModel(config=self.config, style=self.style, model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedModel:
    """A fine-tuned model with the prompt style it was trained with and the run's settings."""

    config: RunConfig
    style: PromptStyle
    model: CausalLM

    def within_context(self, example: Example) -> Example:
        """The example without its oldest exchanges, as few as are needed so that prompt and answer fit the context.

        What is left begins with a question of the user. If the last one of these does not fit, it stays alone, with
        what tools gave back for it.
        """
        room = self.model.context_length - self.config.generate.max_new_tokens
        starts = [number for number, exchange in enumerate(example.exchanges) if exchange.speaker == "user"]
        shorter = example
        for number in starts:
            shorter = replace(example, turns=example.turns[number:])
            if len(self._prompt(shorter)) <= room:
                break
        return shorter

    def writes(self, example: Example) -> bool:
        """Whether the prompt style writes all that an example has, its system message for instance."""
        return writes(self.style, example)

    def _prompt(self, example: Example) -> list[int]:
        (prompt,) = encode_prompts([example], self.style, self.model.tokenizer, boundary=self.config.tokens.boundary)
        return prompt

    def answer(self, example: Example, on_text: Callable[[str], None], *, seed: int | None = None) -> Response:
        """Answer an example's instruction as the run does, and pass on the answer while it is written.

        Args:
            example: its output does not matter.
            on_text: gets the answer piece by piece; joined they are the response's text.
            seed: of sampling; by default the run's.

        Raises:
            ModelError: the prompt leaves no room for an answer.
        """
        prompt = self._prompt(example)
        seed = self.config.seed if seed is None else seed
        settings = self._fitted(
            generation_settings(self.config.generate, self.style, self.model.tokenizer, seed=seed), len(prompt)
        )
        stream = _AnswerStream(self.style, on_text)
        completion = self.model.stream(prompt, settings, stream.add)
        return Response(
            index=example.index,
            text=stream.finish(completion.text),
            ids=completion.ids,
            stop_reason=completion.stop_reason,
        )

    def _fitted(self, settings: GenerationSettings, num_prompt: int) -> GenerationSettings:
        """The settings, with `max_new_tokens` reduced to the room in the context, unless the context slides."""
        if settings.on_overflow == "slide":
            return settings
        context = self.model.context_length
        if num_prompt >= context:
            raise ModelError(
                f"the prompt has {num_prompt} tokens, but the model's context is {context}: shorten it, "
                "or forget its oldest tokens with --set generate.on_overflow=slide"
            )
        return replace(settings, max_new_tokens=min(settings.max_new_tokens, context - num_prompt))


class _AnswerStream:
    """Passes on the answer that the style extracts from what the model writes."""

    def __init__(self, style: PromptStyle, on_text: Callable[[str], None]) -> None:
        self._style = style
        self._on_text = on_text
        # the default `extract` only appends as text grows; another one can only be used on the whole text
        self._is_progressive = type(style).extract is PromptStyle.extract
        self._written = ""
        self._num_passed = 0

    def add(self, text: str) -> None:
        """More was written."""
        self._written += text
        if self._is_progressive:
            self._pass_on(self._style.extract(self._written))

    def finish(self, written: str) -> str:
        """All is written; pass on the rest of the answer and return it whole."""
        answer = self._style.extract(written)
        self._pass_on(answer)
        return answer

    def _pass_on(self, answer: str) -> None:
        news = answer[self._num_passed :]
        self._num_passed = len(answer)
        if news:
            self._on_text(news)
