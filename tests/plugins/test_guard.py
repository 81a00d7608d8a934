"""Whatever a component's code raises names the plugin, the component, the method and the place."""

import copy
import functools

import pytest

from sftframe import (
    CausalLM,
    CollateStrategy,
    ConfigError,
    Judge,
    ModelBackend,
    PluginError,
    PromptStyle,
    Registry,
    Tokenizer,
    hookimpl,
    option,
)
from sftframe.registry import Seam


class BoomError(Exception):
    pass


class Letters(Tokenizer):
    vocab_size = 257
    end_id = 256

    @property
    def fingerprint(self):
        raise BoomError("no file")

    def encode_batch(self, texts):
        return [list(text.encode()) for text in texts]

    def token_bytes(self, token_id):
        return bytes([token_id])

    def save(self, folder):
        raise OSError(28, "No space left on device")


class Network(CausalLM):
    def generate(self, prompts, settings):
        yield "one"
        raise BoomError("second")

    def save(self, folder):
        raise OSError(28, "No space left on device")

    def token_nll(self, batch):
        raise RuntimeError("CUDA out of memory")


class Module:
    def __call__(self, ids):
        raise BoomError("forward")


class Backend(ModelBackend):
    name = "bad"
    summary = "fails everywhere"

    def tokenizer(self, saved=None):
        return Letters()

    def context_length(self, saved=None):
        raise BoomError("context")

    def load(self, *, device, dtype, seed, saved=None):
        if device == "nothing":
            return None
        return Network(Module(), Letters(), 9)

    def check(self):
        raise ConfigError("set model.weights")

    @functools.cached_property
    def identity(self):
        return {"calls": "1"}


class Style(PromptStyle):
    name = "bad"
    summary = "fails everywhere"

    def segments(self, example):
        yield "first"
        raise BoomError("late")

    def extract(self, text):
        try:
            return self.stop_strings
        except BoomError:
            return "caught its own"

    @property
    def stop_strings(self):
        raise BoomError("stops")


class Collate(CollateStrategy):
    name = "bad"
    summary = "fails everywhere"

    def role_weight(self, role):
        raise SystemExit(0)


class Grader(Judge):
    name = "bad"
    summary = "fails everywhere"

    def check(self):
        raise KeyboardInterrupt

    @property
    def identity(self):
        raise BoomError("identity")

    def score(self, items):
        return [1 / 0 for _ in items]


class Plugin:
    @hookimpl
    def sftframe_prompt_styles(self):
        return [Style]

    @hookimpl
    def sftframe_collate_strategies(self):
        return [Collate]

    @hookimpl
    def sftframe_model_backends(self):
        return [Backend]

    @hookimpl
    def sftframe_judges(self):
        return [Grader]


@pytest.fixture
def registry():
    return Registry().with_plugin(Plugin(), "acme")


def model(registry):
    return registry.model_backend("bad").load(device="cpu", dtype="float32", seed=0)


CALLS = {
    "prompt style 'bad' of acme failed in segments: BoomError: late": lambda r: list(
        r.prompt_style("bad").segments(None)
    ),
    "prompt style 'bad' of acme failed in stop_strings: BoomError: stops": lambda r: r.prompt_style("bad").stop_strings,
    "collate strategy 'bad' of acme failed in role_weight: SystemExit: 0": lambda r: r.collate_strategy(
        "bad", pad_id=1
    ).role_weight(1),
    "model backend 'bad' of acme failed in context_length: BoomError": lambda r: r.model_backend(
        "bad"
    ).context_length(),
    "model backend 'bad' of acme failed in fingerprint: BoomError": lambda r: (
        r.model_backend("bad").tokenizer().fingerprint
    ),
    "model backend 'bad' of acme failed in generate: BoomError: second": lambda r: list(model(r).generate([], None)),
    "model backend 'bad' of acme failed in logits: BoomError: forward": lambda r: model(r).logits(None),
    "model backend 'bad' of acme: load() gave NoneType; expected a CausalLM": lambda r: r.model_backend("bad").load(
        device="nothing", dtype="float32", seed=0
    ),
    "judge 'bad' of acme failed in identity: BoomError": lambda r: r.judge("bad").identity,
    "judge 'bad' of acme failed in score: ZeroDivisionError": lambda r: r.judge("bad").score([1]),
}


@pytest.mark.parametrize("says", CALLS)
def test_a_failure_is_named(registry, says):
    with pytest.raises(PluginError) as caught:
        CALLS[says](registry)
    message = str(caught.value)
    assert message.startswith(says)
    assert caught.value.exit_code == 3
    assert __file__ in message or "gave NoneType" in message


def test_ctrl_c_and_messages_for_the_user_pass(registry):
    with pytest.raises(KeyboardInterrupt):
        registry.judge("bad").check()
    with pytest.raises(ConfigError, match=r"^set model\.weights$"):
        registry.model_backend("bad").check()


def test_a_full_disk_and_full_memory_stay_what_they_are(registry):
    with pytest.raises(OSError, match="No space"):
        model(registry).save(None)
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        model(registry).token_nll(None)
    assert not isinstance(caught.value, PluginError)


def test_a_plugins_own_code_catches_its_own_exceptions(registry):
    assert registry.prompt_style("bad").extract("x") == "caught its own"


def test_an_instance_stays_what_it_was(registry):
    style, backend = registry.prompt_style("bad"), registry.model_backend("bad")
    assert isinstance(style, Style)
    assert (type(style).__name__, type(style).__module__) == ("Style", __name__)
    assert style.options == Style.Options()
    assert isinstance(copy.deepcopy(style), Style)
    assert backend.identity is backend.identity
    assert not registry.judge("bad").can_prefer
    assert registry.find(Seam.PROMPT, "bad") is Style


def test_options_that_fail_are_named(registry):
    import dataclasses

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        size: int = option(3, "for tests")

        def __post_init__(self):
            if self.size == 4:
                raise KeyError("four")

    class Fussy(Style):
        name = "fussy"
        Options = None

    Fussy.Options = Options

    class Other:
        @hookimpl
        def sftframe_prompt_styles(self):
            return [Fussy]

    with pytest.raises(PluginError, match="prompt style 'fussy' of other cannot be made: KeyError: 'four'"):
        registry.with_plugin(Other(), "other").prompt_style("fussy", {"size": 4})
