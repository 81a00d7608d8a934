"""Checks the contract of model backends: a model is loaded, trained on three short answers, asked, saved and loaded
again.

A model's own, faster methods are compared with the plain bodies of `CausalLM`. Everything runs on the CPU.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftframe.config import validate
from sftframe.errors import ConfigError, ModelError
from sftframe.plugins import IGNORED, CausalLM, ModelBackend, Tokenizer
from sftframe.records import Batch, Completion, GenerationSettings, Role, Segment
from sftframe.testing import texts
from sftframe.testing.contract import Check, left_alone, require, shown, verify
from sftframe.testing.elsewhere import Job, in_processes
from sftframe.testing.specimen import (
    LESSONS,
    NUM_STEPS,
    Specimen,
    ask,
    lesson_batch,
    lesson_prompts,
    own_lr,
    room,
    steps,
)
from sftframe.trust import is_pickle

LEAST_STEPS = 8
"""Steps after which a loss that has fallen counts: the first may be luck."""

LONGEST_TRIED = 2048
"""Tokens up to which a context is filled."""

TEXTS = ("Hello, world!", " two  spaces\n\n", "naïve café 日本語 👋🏽", "<|endoftext|> is text", "")


def check_model_backend(backend: ModelBackend) -> None:
    """Check that a backend's model can be trained, asked and saved, and that its own ways equal the plain ones.

    Raises:
        ContractError: every promise that is broken.
        ModelError: `backend.check()` says that its weights cannot be had here.
    """
    backend.check()
    verify(Specimen(backend), CHECKS, backend)


def loads(specimen: Specimen) -> None:
    """It loads in evaluation mode, with a tokenizer and a context length."""
    model = specimen.model
    require(isinstance(model, CausalLM), f"load() gave {type(model).__name__}; expected a CausalLM")
    require(not model.module.training, "load() gave a module in training mode; call module.eval()")
    require(isinstance(model.tokenizer, Tokenizer), f"its tokenizer is a {type(model.tokenizer).__name__}")
    told, length = specimen.backend.context_length(), model.context_length
    require(told == length >= 1, f"context_length() says {told}, the loaded model's is {length}")
    alone, own = specimen.backend.tokenizer().fingerprint, model.tokenizer.fingerprint
    require(alone == own, f"tokenizer() has the fingerprint {alone}, the loaded model's has {own}")


def tokenizes_bytes(specimen: Specimen) -> None:
    """Token bytes, joined, are the text, and no text contains the end token.

    A tokenizer that reads names of control tokens may join, change or drop blanks and rare letters; it has to find
    every token's segment itself.
    """
    tokenizer = specimen.model.tokenizer
    long = texts.of_lengths(400, 6000)
    given = (
        *TEXTS,
        *texts.ANSWERS,
        *texts.AWKWARD,
        *texts.BLANK,
        *map(chr, range(256)),
        *long,
        *texts.drawn(20, seed=4),
    )
    require(tokenizer.encode_batch([]) == [], "encode_batch of no texts gives some; expected none")
    for text, ids in zip(given, tokenizer.encode_batch(list(given)), strict=True):
        require(
            isinstance(ids, list) and all(type(i) is int for i in ids),
            f"{shown(text)} is encoded to {shown(ids)}; expected a list of ints",
        )
        found = b"".join(tokenizer.token_bytes(i) for i in ids)
        is_exact = not tokenizer.reads_control_names
        require(
            found == text.encode() or not is_exact, f"{shown(text)} is encoded to ids with the bytes {shown(found)}"
        )
        require(
            tokenizer.end_id not in ids, f"{shown(text)} is encoded with the end token; text contains no control tokens"
        )
        require(
            all(0 <= i < tokenizer.vocab_size for i in ids),
            f"{shown(text)} is encoded to {shown(ids)}: ids out of range",
        )
        alone = tokenizer.encode(text)
        require(alone == ids, f"{shown(text)} is encoded to {shown(alone)} alone and to {shown(ids)} among others")
        decoded = tokenizer.decode(ids)
        require(decoded == text or not is_exact, f"{shown(text)} is decoded as {shown(decoded)}")
        alone.append(0)
        require(
            tokenizer.encode(text) == ids, f"the ids of {shown(text)} change when a caller adds to them; give a copy"
        )
    require(0 <= tokenizer.end_id < tokenizer.vocab_size, f"end_id is {tokenizer.end_id}, outside the vocabulary")
    require(tokenizer.token_bytes(tokenizer.end_id) == b"", "the end token has bytes; a control token has none")


def attributes_tokens(specimen: Specimen) -> None:
    """Every token belongs to the segment of its first character, and the data's text never gives a control token."""
    tokenizer = specimen.model.tokenizer
    plain = [Segment(Role.TEMPLATE, "Say: "), Segment(Role.INSTRUCTION, "one two"), Segment(Role.RESPONSE, "\nthree")]
    (ids, numbers), *others = tokenizer.encode_segments([plain, []])
    require(len(others) == 1 and not others[0][0], "encode_segments of no segments gives ids; expected none")
    whole = tokenizer.encode("".join(segment.text for segment in plain))
    require(ids == whole, f"encode_segments gives {shown(ids)} where encode gives {shown(whole)}")
    places = [int(number) for number in numbers]
    require(
        len(places) == len(ids) and places == sorted(places) and set(places) <= {0, 1, 2},
        f"encode_segments says that the ids belong to the segments {shown(places)}; expected one number for each id, "
        "in order",
    )
    last = tokenizer.decode([i for i, place in zip(ids, places, strict=True) if place == 2])
    require(last.lstrip() == "three", f"the tokens of the segment '\\nthree' are {shown(last)}")
    if not tokenizer.reads_control_names:
        return
    ends = [name for name, token_id in tokenizer.control_tokens.items() if token_id == tokenizer.end_id]
    require(len(ends) == 1, f"control_tokens has {len(ends)} names for the end token; expected one")
    given = [Segment(Role.INSTRUCTION, f"a{ends[0]}"), Segment(Role.RESPONSE, ends[0]), Segment(Role.END, ends[0])]
    ((ids, numbers),) = tokenizer.encode_segments([given])
    found = [int(number) for token_id, number in zip(ids, numbers, strict=True) if token_id == tokenizer.end_id]
    require(
        found == [2],
        f"{ends[0]!r} in an instruction, a response and a closing tag gives end tokens in the segments {found}; "
        "expected one, in the closing tag",
    )


def proposes_known_settings(specimen: Specimen) -> None:
    """What its defaults propose are settings that there are."""
    for section, values in specimen.backend.defaults.items():
        try:
            validate({section: dict(values)})
        except ConfigError as error:
            require(False, f"defaults: {error}")


def gives_logits(specimen: Specimen) -> None:
    """Logits are (B, T, V), one per id of the vocabulary, and finite."""
    model, batch = specimen.model, lesson_batch(specimen.model)
    with torch.no_grad():
        logits = model.logits(batch.inputs)  # (B, T, V)
    shape = tuple(logits.shape)
    fits = len(shape) == 3 and shape[:2] == tuple(batch.inputs.shape) and shape[2] >= model.tokenizer.vocab_size
    wanted = (*batch.inputs.shape, model.tokenizer.vocab_size)
    require(fits, f"logits have the shape {shape}; expected {wanted}")
    require(bool(logits.isfinite().all()), "logits are not finite")


def repeats_its_weights(specimen: Specimen) -> None:
    """The same seed gives the same weights, in memory of their own."""
    ids = lesson_batch(specimen.model).inputs
    with torch.no_grad():
        torch.manual_seed(4711)
        again = specimen.load()
        same = specimen.model.logits(ids).equal(again.logits(ids))
    require(same, "loaded twice with the same seed, it gives other logits; draw random weights from the seed given")
    owned = {parameter.data_ptr() for parameter in specimen.model.module.parameters()}
    require(
        owned.isdisjoint(parameter.data_ptr() for parameter in again.module.parameters()),
        "two models that were loaded share their weights, so that training one changes the other; load them again",
    )


def looks_back_only(specimen: Specimen) -> None:
    """Logits depend on earlier tokens of the same row and on nothing else."""
    ids = lesson_batch(specimen.model).inputs.clone()
    with torch.no_grad():
        before = specimen.model.logits(ids)[0, 0]  # (V,)
        ids[1:], ids[0, 1:] = ids[1:].flip(1), ids[0, 1:].flip(0)
        after = specimen.model.logits(ids)[0, 0]
    _require_close(after, before, "logits of a row change with later tokens or with other rows")


def treats_rows_alone(specimen: Specimen) -> None:
    """A row's logits do not depend on how many rows are beside it, or on how far the batch is padded."""
    model = specimen.model
    rows, end_id = _random_rows(model, 10), model.tokenizer.end_id
    with torch.no_grad():
        alone = [model.logits(torch.tensor([row]))[0] for row in rows]  # (T, V) each
        for number in (1, 4):
            row, width = rows[number], min(48, model.context_length)
            padded = torch.tensor([[*row, *[end_id] * (width - len(row))]])
            _require_close(
                model.logits(padded)[0, : len(row)],
                alone[number],
                f"the logits of {len(row)} tokens change when the row is padded to {width}; they have to depend on the "
                "tokens before alone, not on the row's length",
            )
        for count in (2, 5, 10):
            width = max(map(len, rows[:count]))
            together = model.logits(torch.tensor([[*row, *[end_id] * (width - len(row))] for row in rows[:count]]))
            for number, row in enumerate(rows[:count]):
                _require_close(
                    together[number, : len(row)],
                    alone[number],
                    f"the logits of row {number} of {count} are not those of the row alone",
                )


def trains_rows_alone(specimen: Specimen) -> None:
    """In training mode, too, a row's logits depend on that row alone, and a forward pass changes no weights."""
    model = specimen.model
    ids = lesson_batch(model).inputs
    others, before = ids.clone(), {name: value.clone() for name, value in model.module.state_dict().items()}
    others[1:] = others[1:].flip(1)
    model.module.train()
    try:
        with torch.no_grad():
            found = []
            for given in (ids, others):
                torch.manual_seed(1)  # dropout drops the same
                found.append(model.logits(given)[0])
    finally:
        model.module.eval()
    remedy = "no batch norm: rows of another example would decide"
    _require_close(found[1], found[0], f"in training mode the logits of a row change with other rows ({remedy})")
    changed = [name for name, value in model.module.state_dict().items() if not value.equal(before[name])]
    require(not changed, f"a forward pass in training mode changes {', '.join(changed[:3])}; {remedy}")


def uses_its_context(specimen: Specimen) -> None:
    """Rows as long as context_length says can be read and trained on."""
    model = specimen.model
    length = model.context_length
    if length > LONGEST_TRIED:
        return
    row = torch.tensor([_ids(model, length, seed=5)])
    with torch.no_grad():
        logits = model.logits(row)
        require(
            logits.shape[:2] == row.shape and bool(logits.isfinite().all()),
            f"a row of context_length={length} tokens gives logits of the shape {tuple(logits.shape)}, or numbers that "
            "are not finite",
        )
        short = min(24, length)
        _require_close(
            logits[:, :short],
            model.logits(row[:, :short]),
            f"in a row of context_length={length} tokens the first {short} have other logits than alone",
        )


def leaves_the_process_alone(specimen: Specimen) -> None:
    """Reading, training and writing leave modes, random states and what they are given as they found it."""
    model, batch = specimen.model, lesson_batch(specimen.model)
    prompts = lesson_prompts(model)
    given = [list(prompt) for prompt in prompts]
    copies = batch.inputs.clone(), batch.targets.clone()
    for settings in (
        GenerationSettings(max_new_tokens=2),
        GenerationSettings(max_new_tokens=2, temperature=1.0, seed=3),
    ):
        for training in (False, True):
            model.module.train(training)
            modes = [part.training for part in model.module.modules()]
            with left_alone("generate()", may_draw=training):
                for _ in model.generate(prompts, settings):
                    require(torch.is_grad_enabled(), "generate() yields while gradients are off; leave no_grad first")
            found = [part.training for part in model.module.modules()]
            model.module.eval()
            mode = "training" if training else "evaluation"
            require(found == modes, f"generate() leaves another mode than the {mode} mode that it found")
            require(prompts == given, f"generate() changes the prompts that it is given to {shown(prompts)}")
    for training in (False, True):
        model.module.train(training)
        modes = [part.training for part in model.module.modules()]
        with left_alone("the loss", may_draw=training):
            model.loss_sum(batch)
            with torch.no_grad():
                model.token_nll(batch)
                model.logits(batch.inputs)
        found = [part.training for part in model.module.modules()]
        model.module.eval()
        require(found == modes, "the loss leaves the module in another mode than it found")
    same = batch.inputs.equal(copies[0]) and batch.targets.equal(copies[1])
    require(same, "the batch is changed by the loss or the logits; work on copies")
    with left_alone("loading", may_draw=True):
        specimen.load()


def follows_the_dtype(specimen: Specimen) -> None:
    """Its parameters have the dtype that load() is told."""
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        try:
            model = specimen.backend.load(device="cpu", dtype=name, seed=0)
        except ModelError:
            continue  # says itself that it cannot
        kinds = {str(p.dtype) for p in model.module.parameters() if p.is_floating_point()}
        require(kinds <= {str(dtype)}, f"load(dtype={name!r}) gave parameters of {', '.join(sorted(kinds))}")


def saves_no_pickle(specimen: Specimen) -> None:
    """What it saves is no pickle, which could run any code."""
    with tempfile.TemporaryDirectory() as folder:
        specimen.model.save(Path(folder))
        pickles = [path.name for path in sorted(Path(folder).rglob("*")) if path.is_file() and is_pickle(path)]
    require(
        not pickles,
        f"save() writes {', '.join(pickles)}; a run with a pickle in its model is refused on other machines: use "
        "safetensors.torch.save_model",
    )


def is_the_same_elsewhere(specimen: Specimen) -> None:
    """In another process it has the same tokenizer, context and identity, and reads what was saved here."""
    backend, model = specimen.backend, specimen.taught
    with tempfile.TemporaryDirectory() as made, torch.no_grad():
        folder = Path(made) / "saved"
        folder.mkdir()
        model.save(folder)
        moved = folder.rename(Path(made) / "moved")
        found = in_processes(backend, [Job(probe=_seen_elsewhere, given=(str(moved),))])
        here = model.logits(lesson_batch(model).inputs)
    for fingerprint, saved, identity, logits in found:
        wanted = model.tokenizer.fingerprint
        require(
            fingerprint == saved == wanted,
            f"the tokenizer's fingerprint is {wanted} here and {fingerprint} in another process ({saved} once saved): "
            "make it of the vocabulary alone, not of hash() or id()",
        )
        require(
            identity == dict(backend.identity),
            f"its identity is {dict(backend.identity)} here and {identity} in another process",
        )
        _require_close(
            torch.tensor(logits), here, "a saved model has other logits in another process, in a moved folder"
        )


def _seen_elsewhere(backend: ModelBackend, folder: str) -> tuple[str, str, dict[str, str], Any]:
    saved = Path(folder)
    model = backend.load(device="cpu", dtype="float32", seed=1, saved=saved)
    with torch.no_grad():
        logits = model.logits(lesson_batch(model).inputs).tolist()
    return backend.tokenizer().fingerprint, backend.tokenizer(saved).fingerprint, dict(backend.identity), logits


def loses_plainly(specimen: Specimen) -> None:
    """The loss is the cross-entropy of the counted targets, each times its weight."""
    model = specimen.model
    for batch in _batches(model):
        with torch.no_grad():
            losses, wanted = model.token_nll(batch), _plain_nll(model, batch)  # each (B, T)
            require(losses.dtype == torch.float32, f"token_nll gives {losses.dtype}; expected torch.float32")
            _require_close(losses, wanted, "token_nll is not the cross-entropy of the counted targets")
            weights = 1.0 if batch.weights is None else batch.weights
            total = (wanted * weights).sum()
            _require_close(model.loss_sum(batch), total, "loss_sum is not the sum of weighted token losses")


def has_plain_gradients(specimen: Specimen) -> None:
    """The loss has the gradient of the plain cross-entropy."""
    model = specimen.model
    trainable = any(parameter.requires_grad for parameter in model.module.parameters())
    require(trainable, "no parameter requires a gradient, so that there is nothing to train; see requires_grad")
    for batch in _batches(model):
        weights = 1.0 if batch.weights is None else batch.weights
        own = _gradients(model, model.loss_sum(batch))
        plain = _gradients(model, (_plain_nll(model, batch) * weights).sum())
        require(any(bool(gradient.any()) for gradient in own), "loss_sum has no gradient in any parameter")
        for found, wanted in zip(own, plain, strict=True):
            _require_close(found, wanted, "the gradient of loss_sum is not that of the plain cross-entropy")


def learns(specimen: Specimen) -> None:
    """Its loss falls at the backend's own learning rate, or at one of the usual ones."""
    lr = own_lr(specimen.backend)
    seen = []
    for rate in (5e-5, 1e-3, 1e-2) if lr is None else (lr,):
        model = specimen.load()
        losses: list[float] = []
        for loss in itertools.islice(steps(model, lesson_batch(model), rate), NUM_STEPS):
            losses.append(loss)
            if len(losses) > LEAST_STEPS and loss < losses[0] - max(0.005, 0.002 * losses[0]):
                return
        seen.append(f"from {losses[0]:.3f} to {losses[-1]:.3f} at lr={rate:g}")
    remedy = "see that parameters require gradients and that nothing is detached on the way to the loss"
    require(
        False,
        f"in {NUM_STEPS} steps on three short rows the loss went {', '.join(seen)}: {remedy}, or propose "
        "another lr in defaults",
    )


def has_gradients_where_it_matters(specimen: Specimen) -> None:
    """Every trainable parameter that the loss depends on has a gradient."""
    model = specimen.taught
    batch = lesson_batch(model, "Go on. ")
    named = [(name, p) for name, p in model.module.named_parameters() if p.requires_grad]
    with torch.enable_grad():
        gradients = torch.autograd.grad(model.loss_sum(batch), [p for _, p in named], allow_unused=True)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        loss = float(model.loss_sum(batch))
        for (name, parameter), gradient in zip(named, gradients, strict=True):
            if gradient is not None and bool(gradient.any()):
                continue
            kept = parameter.clone()
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
            changed = float(model.loss_sum(batch))
            parameter.copy_(kept)
            require(
                abs(changed - loss) <= 1e-4 * max(1.0, abs(loss)),
                f"the loss depends on {name}, which has no gradient; something is detached, or computed under no_grad",
            )


def answers_each_prompt(specimen: Specimen) -> None:
    """Each prompt gets one completion, which ends with the end token."""
    completions = ask(specimen.taught)
    if not specimen.is_certain:
        return  # a model of a kind that cannot learn three answers by heart
    for number, found in enumerate(completions):
        answer = LESSONS[number][1]
        require(
            found.stop_reason == "end",
            f"an answer that ends with the end token has the stop reason {found.stop_reason!r} and the text "
            f"{found.text!r}; expected 'end' and {answer!r}",
        )
        require(found.text == answer, f"the answer {answer!r}, which it was taught, came as {found.text!r}")
        wanted = tuple(specimen.taught.tokenizer.encode(answer))
        require(found.ids == wanted, f"the completion's ids are {found.ids}; expected {wanted}, without the end token")


def generates_as_defined(specimen: Specimen) -> None:
    """Answers are the same in batches, one by one, and with everything computed again for each token."""
    most = min(5, room(specimen.model))
    greedy = GenerationSettings(max_new_tokens=room(specimen.taught))
    sampled = GenerationSettings(max_new_tokens=most, temperature=1.0, top_k=50, seed=7)
    numbered = dataclasses.replace(sampled, numbers=tuple(range(40, 50)), top_k=None, top_p=0.95)
    # the model as loaded is uncertain enough for the seeds to show
    start = _ids(specimen.model, min(20, specimen.model.context_length // 3), seed=9)
    alike = [[*start, 65, 66], [*start, 67], start, start]
    many = [*lesson_prompts(specimen.model), *_random_rows(specimen.model, 3), *alike]
    for model, settings, prompts in (
        (specimen.taught, greedy, lesson_prompts(specimen.model)),
        (specimen.model, sampled, many),
        (specimen.model, numbered, many),
        (specimen.model, GenerationSettings(max_new_tokens=most), many),
    ):
        wanted = list(CausalLM.generate(model, prompts, settings))
        for batch_size in (1, 2, None):
            settings = dataclasses.replace(settings, batch_size=batch_size)
            found = sorted(model.generate([list(prompt) for prompt in prompts], settings), key=lambda c: c.position)
            _require_answers(model, prompts, found, wanted, settings)


def slides_where_told(specimen: Specimen) -> None:
    """With on_overflow=slide it goes on beyond its context, with the last tokens that fit."""
    model = specimen.model
    length = model.context_length
    if length > LONGEST_TRIED:
        return
    prompts = [_ids(model, length - 1, seed=6), _ids(model, length + 2, seed=7)]
    for new, given in ((3, prompts), (1, prompts[:1])):
        settings = GenerationSettings(max_new_tokens=new, on_overflow="slide" if new > 1 else "error")
        wanted = list(CausalLM.generate(model, given, settings))
        found = sorted(model.generate([list(prompt) for prompt in given], settings), key=lambda c: c.position)
        _require_answers(model, given, found, wanted, settings)


def _require_answers(
    model: CausalLM,
    prompts: Sequence[Sequence[int]],
    found: Sequence[Completion],
    wanted: Sequence[Completion],
    settings: GenerationSettings,
) -> None:
    how = f"at temperature {settings.temperature} and in batches of {settings.batch_size or 'any size'}"
    if settings.numbers:
        how += ", with the numbers of GenerationSettings,"
    positions = [completion.position for completion in found]
    require(positions == list(range(len(prompts))), f"{how} {len(prompts)} prompts got the completions {positions}")
    for prompt, own, plain in zip(prompts, found, wanted, strict=True):
        if own == plain or (settings.temperature == 0 and _is_a_tie(model, prompt, own.ids, plain.ids)):
            continue
        require(
            False,
            f"{how} it wrote {shown(own.text)} ({own.stop_reason}) after prompt {own.position} of {len(prompt)} "
            f"tokens; expected {shown(plain.text)} ({plain.stop_reason})",
        )


def _is_a_tie(model: CausalLM, prompt: Sequence[int], one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two answers part where two tokens were equally likely to rounding."""
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if same is None:
        return False
    window = [*prompt, *one[:same]][-model.context_length :]
    with torch.no_grad():
        logits = model.logits(torch.tensor([window]))[0, -1].float()
    return abs(float(logits[one[same]] - logits[other[same]])) <= 1e-3 * max(1.0, float(logits.abs().max()))


def stops_where_told(specimen: Specimen) -> None:
    """Stop strings end an answer before them, and the greatest length ends it too."""
    model = specimen.taught
    for most in (1, 2, 3, 5):
        settings = GenerationSettings(max_new_tokens=most, temperature=1.0, seed=11)
        for found in specimen.model.generate(lesson_prompts(model), settings):
            is_whole = len(found.ids) == most or found.stop_reason == "end"
            require(
                len(found.ids) <= most and is_whole,
                f"with max_new_tokens={most} it wrote {len(found.ids)} tokens and stopped for the reason "
                f"{found.stop_reason!r}",
            )
    if not specimen.is_certain:
        return
    stopped = ask(model, GenerationSettings(max_new_tokens=room(model), stop_strings=("course", "two")))
    require(
        [(c.text, c.stop_reason) for c in stopped]
        == [(" fig", "end"), (" blue, of ", "stop-string"), (" one ", "stop-string")],
        f"with the stop strings 'course' and 'two' it wrote {[(c.text, c.stop_reason) for c in stopped]}",
    )
    for found in ask(model, GenerationSettings(max_new_tokens=1))[1:]:
        require(
            len(found.ids) == 1 and found.stop_reason == "length",
            f"with max_new_tokens=1 it wrote {len(found.ids)} tokens and stopped for the reason {found.stop_reason!r}",
        )


def streams_what_it_generates(specimen: Specimen) -> None:
    """One answer told in pieces is the same answer, and the pieces are its text."""
    model = specimen.taught
    settings = GenerationSettings(max_new_tokens=room(model), stop_strings=("course",))
    for prompt, wanted in zip(lesson_prompts(model), ask(model, settings), strict=True):
        pieces: list[str] = []
        found = model.stream(prompt, settings, pieces.append)
        same = dataclasses.replace(found, position=wanted.position) == wanted
        require(same, f"stream() wrote {found.text!r}; expected {wanted.text!r}, as generate() does")
        require("".join(pieces) == found.text, f"the answer {found.text!r} was streamed in the pieces {pieces}")


def refuses_what_does_not_fit(specimen: Specimen) -> None:
    """A prompt that leaves no room for the answer is refused before anything is written."""
    model = specimen.model
    too_long = GenerationSettings(max_new_tokens=model.context_length)
    for prompts, settings, what in (
        (lesson_prompts(model), too_long, "prompt and new tokens exceed the context"),
        ([*lesson_prompts(model), []], GenerationSettings(max_new_tokens=2), "a prompt is empty"),
    ):
        for write in (model.generate, lambda given, how: [model.stream(given[-1], how, lambda text: None)]):
            try:
                next(iter(write(prompts, settings)))
            except ModelError:
                continue
            require(False, f"{what}, and it wrote on; call check_fits first")


def survives_saving(specimen: Specimen) -> None:
    """Saved and loaded again, it is the same model with the same tokenizer."""
    model, ids = specimen.taught, lesson_batch(specimen.taught).inputs
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save(Path(folder))
        again = specimen.load(Path(folder))
        tokenizer = specimen.backend.tokenizer(Path(folder))
        told = specimen.backend.context_length(Path(folder))
        require(again.logits(ids).equal(model.logits(ids)), "a saved model gives other logits when it is loaded again")
        require(not again.module.training, "load(saved=…) gave a module in training mode; call module.eval()")
    require(told == model.context_length, f"context_length(saved) says {told}; expected {model.context_length}")
    wanted = model.tokenizer.fingerprint
    same = tokenizer.fingerprint == again.tokenizer.fingerprint == wanted
    require(same, "a saved tokenizer has another fingerprint when it is loaded again")


CHECKS: tuple[Check[Specimen], ...] = (
    loads,
    tokenizes_bytes,
    attributes_tokens,
    proposes_known_settings,
    gives_logits,
    repeats_its_weights,
    looks_back_only,
    treats_rows_alone,
    trains_rows_alone,
    uses_its_context,
    follows_the_dtype,
    loses_plainly,
    has_plain_gradients,
    learns,
    has_gradients_where_it_matters,
    answers_each_prompt,
    generates_as_defined,
    slides_where_told,
    stops_where_told,
    streams_what_it_generates,
    refuses_what_does_not_fit,
    survives_saving,
    saves_no_pickle,
    leaves_the_process_alone,
    is_the_same_elsewhere,
)
"""In the order in which they run; each relies on those before it."""


def _ids(model: CausalLM, count: int, *, seed: int) -> list[int]:
    """Random ids, none of them the end token."""
    draw = random.Random(seed)
    usual = [i for i in range(min(model.tokenizer.vocab_size, 5000)) if i != model.tokenizer.end_id]
    return [draw.choice(usual) for _ in range(count)]


def _random_rows(model: CausalLM, count: int) -> list[list[int]]:
    """Rows of many lengths, from one token on."""
    longest = max(2, min(40, model.context_length - 8))
    return [_ids(model, 1 + 7 * number % longest, seed=number) for number in range(count)]


def _batches(model: CausalLM) -> tuple[Batch, ...]:
    """All targets counted; some of them, with weights; and rows that begin alike, one of which counts nothing."""
    plain, alike = lesson_batch(model), lesson_batch(model, "Answer in a few words.\n")
    targets = alike.targets.clone()
    targets[1] = IGNORED
    return plain, _weighted(plain), _weighted(dataclasses.replace(alike, targets=targets))


def _weighted(batch: Batch) -> Batch:
    """The same batch, every second target of the first row not counted, the other weights all different."""
    targets = batch.targets.clone()
    targets[0, ::2] = IGNORED
    weights = torch.linspace(0.1, 2.0, targets.numel()).view_as(targets)  # (B, T)
    return dataclasses.replace(batch, targets=targets, weights=weights)


def _plain_nll(model: CausalLM, batch: Batch) -> Tensor:
    logits = model.logits(batch.inputs).float()  # (B, T, V)
    return F.cross_entropy(logits.transpose(1, 2), batch.targets, reduction="none", ignore_index=IGNORED)  # (B, T)


def _gradients(model: CausalLM, loss: Tensor) -> list[Tensor]:
    parameters = [parameter for parameter in model.module.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]


def _require_close(found: Tensor, wanted: Tensor, message: str) -> None:
    """Equal up to the rounding of float32 sums in another order."""
    scale = max(1.0, float(wanted.abs().max()))
    gap = float((found - wanted).abs().max()) if found.shape == wanted.shape else float("inf")
    require(gap <= 1e-4 * scale, f"{message}: they differ by {gap:.2g}")
