"""The generator's contract: three steps from latent to image, S space, noise, early stop, activations."""

import itertools

import pytest
import torch

from sfhub.errors import InputError
from sfhub.models.style_space import standard_channels
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.models.stylegan2_discriminator import StyleGAN2Discriminator, minibatch_stddev

CHANNELS = {"4": 16, "8": 12, "16": 10, "32": 8}


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    G = (
        StyleGAN2Generator(resolution=32, z_dim=24, w_dim=20, num_mapping_layers=2, channels=CHANNELS)
        .eval()
        .requires_grad_(False)
    )
    for layer in (G.conv1, *G.convs):
        layer.noise_strength.fill_(0.3)
    return G


@pytest.fixture(scope="module")
def codes(generator):
    z = torch.randn(3, 24, generator=torch.Generator().manual_seed(1))
    return generator.styles(generator.mapping(z))


def test_style_code_holds_convolutions_first_then_to_rgb_layers(generator):
    layout = generator.style_layout
    kinds = [entry.kind for entry in layout]
    assert kinds == sorted(kinds)  # "conv" before "to_rgb"
    assert [entry.name for entry in layout][:3] == ["conv1", "convs.0", "convs.1"]
    assert layout["convs.0"].width == 16 and layout["convs.1"].width == 12 and layout["to_rgbs.2"].width == 8
    assert layout[0].start == 0 and all(a.stop == b.start for a, b in itertools.pairwise(layout))
    assert layout.conv_size == layout["to_rgb1"].start


def test_official_1024_pixel_layout_has_9088_style_dimensions():
    with torch.device("meta"):
        layout = StyleGAN2Generator(resolution=1024).style_layout
    assert (layout.size, layout.conv_size) == (9088, 6048)
    assert standard_channels(1024)["1024"] == 32


def test_split_and_join_are_inverse(generator, codes):
    layout = generator.style_layout
    assert torch.equal(layout.join(layout.split(codes)), codes)


def test_batch_equals_singles(generator, codes):
    whole = generator.synthesis(codes)
    for row, code in zip(whole, codes, strict=True):
        torch.testing.assert_close(generator.synthesis(code[None])[0], row, rtol=1e-4, atol=1e-5)


def test_stopping_early_gives_the_skip_image_of_that_resolution(generator, codes):
    image, found = generator.synthesis(codes, return_activations=["to_rgbs.1"])
    assert torch.equal(generator.synthesis(codes, resolution=16), found["to_rgbs.1"])
    assert image.shape == (3, 3, 32, 32)


def test_activations_have_the_layers_shapes(generator, codes):
    _, found = generator.synthesis(codes, return_activations=["conv1", "convs.3"])
    assert found["conv1"].shape == (3, 16, 4, 4) and found["convs.3"].shape == (3, 10, 16, 16)


def test_noise_modes(generator, codes):
    const = generator.synthesis(codes)
    assert torch.equal(const, generator.synthesis(codes, "const"))
    assert not torch.allclose(const, generator.synthesis(codes, "none"))
    draw = [generator.synthesis(codes, "random", generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(draw[0], draw[1]) and not torch.allclose(draw[0], draw[2])


def test_truncation_pulls_to_the_mean_up_to_the_cutoff(generator):
    z = torch.randn(2, 24)
    full, mean = generator.mapping(z), generator.mapping_network.w_avg
    assert torch.allclose(generator.mapping(z, truncation_psi=0.0), mean.expand_as(full), atol=1e-6)
    part = generator.mapping(z, truncation_psi=0.5, truncation_cutoff=2)
    torch.testing.assert_close(part[:, 2:], full[:, 2:])
    torch.testing.assert_close(part[:, :2], (full[:, :2] + mean) / 2)


def test_save_and_load_keep_the_picture(generator, codes, tmp_path):
    generator.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    loaded = StyleGAN2Generator.from_pretrained(tmp_path)
    assert torch.equal(loaded.synthesis(codes), generator.synthesis(codes))


def test_half_precision_stays_close(generator, codes):
    half = StyleGAN2Generator.from_config(generator.config).to(torch.bfloat16)
    half.load_state_dict(generator.state_dict())
    image = half.synthesis(codes.to(torch.bfloat16))
    assert (image.float() - generator.synthesis(codes)).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda G, s: G.synthesis(s[:, :-1]), "does not fit this generator"),
        (lambda G, s: G.synthesis(s, "loud"), "Noise mode 'loud' is unknown"),
        (lambda G, s: G.synthesis(s, resolution=24), "no skip image of 24 pixels"),
        (lambda G, s: G.synthesis(s, return_activations=["convs.9"]), "no layer 'convs.9'"),
        (lambda G, s: G.synthesis(s, resolution=8, return_activations=["convs.4"]), "above 8 pixels"),
        (lambda G, s: G.mapping(torch.zeros(1, 7)), r"takes \[batch, 24\]"),
        (lambda G, s: G.mapping(torch.zeros(1, 24), torch.zeros(1, 2)), "unconditional"),
        (lambda G, s: G.styles(torch.zeros(1, 3, 20)), r"takes \[batch, 8, 20\]"),
        (lambda G, s: StyleGAN2Generator(resolution=48), "power of two"),
        (lambda G, s: StyleGAN2Generator(resolution=32, channels={"4": 8, "8": 8, "32": 8}), "lacks resolution 16"),
    ],
)
def test_wrong_input_gets_one_sentence(generator, codes, call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(generator, codes)


def test_conditional_generator_and_discriminator_use_the_label():
    torch.manual_seed(0)
    G = StyleGAN2Generator(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=2, channels=CHANNELS, num_classes=3)
    D = StyleGAN2Discriminator(resolution=16, channels=CHANNELS, num_classes=3, num_mapping_layers=2)
    z, labels = torch.randn(1, 8).repeat(3, 1), torch.eye(3)
    images = G(z, labels)
    assert not torch.allclose(images[0], images[1])
    assert D(images, labels).shape == (3, 1)
    with pytest.raises(InputError, match="no label"):
        G.mapping(z)


def test_minibatch_standard_deviation_sees_copies():
    different, same = torch.randn(4, 2, 4, 4), torch.randn(1, 2, 4, 4).repeat(4, 1, 1, 1)
    assert minibatch_stddev(same, 4)[:, -1].max() < 1e-3 < minibatch_stddev(different, 4)[:, -1].min()


def test_second_derivatives_reach_the_weights():
    """Path length and R1 differentiate twice; a layer without a second derivative would break training silently."""
    G = StyleGAN2Generator(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=2, channels=CHANNELS)
    w_plus = G.mapping(torch.randn(2, 8))
    image = G.synthesis(G.styles(w_plus))
    (gradient,) = torch.autograd.grad((image * torch.randn_like(image)).sum(), w_plus, create_graph=True)
    gradient.square().sum().backward()
    assert G.convs[1].weight.grad.abs().sum() > 0
