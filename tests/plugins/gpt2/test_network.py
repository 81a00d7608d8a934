"""The network against transformers' GPT-2 with the same random weights.

Float64 agrees to 1e-9, relative to the largest value: both compute the same function. Float32 sums in another order,
so that it agrees to 2e-5 over two layers.
"""

import pytest
import torch
from sftframe_plugins.gpt2.network import GPT2, NetworkConfig
from sftframe_plugins.gpt2.weights.layout import tensors_of

SIZES = {
    "nano": {"width": 256, "num_heads": 4, "num_layers": 4},
    "small": {"width": 768, "num_heads": 12, "num_layers": 2},
    "medium": {"width": 1024, "num_heads": 16, "num_layers": 2},
    "large": {"width": 1280, "num_heads": 20, "num_layers": 1},
    "xl": {"width": 1600, "num_heads": 25, "num_layers": 1},
}
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-5}


def gap(found, wanted):
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    return float((found - wanted).detach().abs().max() / wanted.detach().abs().max())


@pytest.mark.parametrize("size", SIZES)
def test_logits_loss_and_gradients_equal_those_of_transformers(size, make_peer, network_like):
    peer = make_peer(vocab_size=97, context_length=24, **SIZES[size])
    check_equal(peer, network_like(peer), torch.float32)
    peer = peer.double()
    check_equal(peer, network_like(peer), torch.float64)


def check_equal(peer, network, dtype):
    peer.zero_grad()
    ids = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(1))
    their_logits, our_logits = peer(ids).logits, network(ids)
    assert gap(our_logits, their_logits) < TOLERANCE[dtype]
    # transformers' own loss is computed in float32 whatever the logits are
    their_loss, our_loss = next_token_loss(their_logits, ids), next_token_loss(our_logits, ids)
    assert gap(our_loss, their_loss) < TOLERANCE[dtype]
    assert gap(our_loss, peer(ids, labels=ids).loss) < TOLERANCE[torch.float32]
    their_loss.backward()
    our_loss.backward()
    their_gradients = {name.removeprefix("transformer."): p.grad for name, p in peer.named_parameters()}
    our_gradients = tensors_of(gradients(network))
    assert our_gradients.keys() == their_gradients.keys()
    for name, found in our_gradients.items():
        assert gap(found, their_gradients[name]) < TOLERANCE[dtype], name


def next_token_loss(logits, ids):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def gradients(network):
    """The same network with its gradients in the place of the weights."""
    with torch.device("meta"):  # nothing is computed for weights that are replaced
        made = GPT2(network.config)
    for name, parameter in list(network.named_parameters()):
        place, _, last = name.rpartition(".")
        setattr(made.get_submodule(place), last, torch.nn.Parameter(parameter.grad, requires_grad=False))
    return made


@pytest.mark.parametrize(
    ("width", "num_layers", "num_heads", "num_parameters"),
    [
        (768, 12, 12, 124_439_808),
        (1024, 24, 16, 354_823_168),
        (1280, 36, 20, 774_030_080),
        (1600, 48, 25, 1_557_611_200),
    ],
)
def test_the_four_sizes_have_the_published_numbers_of_parameters(width, num_layers, num_heads, num_parameters):
    config = NetworkConfig(
        vocab_size=50257, context_length=1024, width=width, num_layers=num_layers, num_heads=num_heads
    )
    with torch.device("meta"):
        network = GPT2(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == num_parameters == config.num_parameters


@pytest.fixture
def small_config():
    return NetworkConfig(vocab_size=500, context_length=64, width=64, num_layers=8, num_heads=4, dropout=0.5)


def test_random_weights_are_a_function_of_the_seed(small_config):
    networks = [GPT2(small_config) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        network.initialise(seed)
    first, again, other = (network.wte.weight for network in networks)
    assert first.equal(again)
    assert not first.equal(other)


def test_random_weights_have_gpt2s_spread(small_config):
    network = GPT2(small_config)
    network.initialise(3)
    block = network.h[0]
    assert float(network.wte.weight.detach().std()) == pytest.approx(0.02, rel=0.03)
    assert float(block.mlp.c_fc.weight.detach().std()) == pytest.approx(0.02, rel=0.03)
    assert float(block.mlp.c_proj.weight.detach().std()) == pytest.approx(0.005, rel=0.03)  # 0.02 / sqrt(2 x 8 layers)
    assert bool((block.ln_1.weight == 1).all())
    assert not block.attn.c_attn.bias.any()


def test_dropout_acts_in_training_mode_only(small_config):
    network = GPT2(small_config)
    network.initialise(3)
    ids = torch.arange(20)[None]
    assert not network.train()(ids).equal(network(ids))
    assert network.eval()(ids).equal(network(ids))


def test_dropout_thins_out_embeddings_attention_and_both_projections(small_config):
    """Half of all values are dropped at each of the four kinds of place; a missing one changes this count."""
    network = GPT2(small_config).train()
    seen = []
    original = torch.nn.functional.dropout

    class Count(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.nn.functional.scaled_dot_product_attention:
                seen.append(("attention", kwargs["dropout_p"]))
            if function is original:
                seen.append(("dropout", 0.5))
            return function(*args, **(kwargs or {}))

    with Count():
        network(torch.arange(20)[None])
    assert seen.count(("attention", 0.5)) == 8
    assert seen.count(("dropout", 0.5)) == 1 + 2 * 8


@pytest.mark.parametrize("num_rows", [3, 4, 64, 65])
def test_the_head_gives_few_rows_the_logits_of_the_whole_vocabulary(make_peer, network_like, num_rows):
    """2,100 tokens are two slices of the head and a piece of a third."""
    network = network_like(make_peer(vocab_size=2100))
    states = torch.randn(num_rows, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = network.logits(states)
        for row in range(num_rows):
            torch.testing.assert_close(logits[row], network.wte.weight @ states[row], rtol=1e-5, atol=1e-5)
