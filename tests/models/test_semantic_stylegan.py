"""SemanticStyleGAN's contract: factored W+, composition, coordinates, where gradients flow, and bad input."""

import pytest
import torch
import torch.nn.functional as F

from sfhub.errors import InputError
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator
from sfhub.models.semantic_stylegan_discriminator import SemanticStyleGANDiscriminator

CLASSES = 4
TRANSPARENT = 2
CONFIG = {
    "resolution": 32,
    "z_dim": 8,
    "w_dim": 6,
    "num_mapping_layers": 2,
    "num_classes": CLASSES,
    "class_names": ["background", "skin", "glasses", "hair"],
    "transparent_classes": [TRANSPARENT],
    "coarse_resolution": 16,
    "min_resolution": 8,
    "local_layers": 5,
    "base_layers": 1,
    "depth_layers": 3,
    "local_width": 8,
    "feature_width": 12,
    "channels": {"16": 10, "32": 6},
}


def build(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SemanticStyleGANGenerator(**CONFIG | changes).eval()


@pytest.fixture(scope="module")
def generator():
    G = build().requires_grad_(False)
    for layer in G.render_net.convs:
        layer.noise_strength.fill_(0.3)
    return G


@pytest.fixture(scope="module")
def w_plus(generator):
    """Codes that differ everywhere."""
    return torch.randn(2, generator.n_latent, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def output(generator, w_plus):
    return generator.synthesis(w_plus)


def one_class_after_another(generator, codes, position):
    """The local generators as the paper states them: each alone, its weights modulated, then applied to its pixels."""
    nets, depths, features = generator.local_generators, [], []
    width = generator.config.local_width
    for k in range(CLASSES):
        x, depth = position, torch.zeros(len(codes), position.shape[-1])
        for i in range(generator.config.local_layers):
            style = codes[:, k, i] @ nets.affine_weight[i, k].T / codes.shape[-1] ** 0.5 + nets.affine_bias[i, k]
            weight = nets.weight[i, k] * style[:, None] / width**0.5
            weight = weight / (weight.square().sum(dim=2, keepdim=True) + 1e-8).sqrt()
            x = F.leaky_relu(weight @ x + nets.bias[i, k][:, None], 0.2) * 2**0.5
            if k and i == generator.config.depth_layers - 1:
                head = nets.depth_weight[k - 1] * nets.depth_modulation[k - 1] / width**0.5
                depth = head @ x + nets.depth_bias[k - 1]
        depths.append(depth)
        head = nets.feature_weight[k] * nets.feature_modulation[k] / width**0.5
        features.append(head @ x + nets.feature_bias[k][:, None])
    return torch.stack(depths, 1), torch.stack(features, 1)


def test_the_batched_local_generators_equal_one_class_after_another(generator, w_plus):
    codes = generator.expand(w_plus)
    position = torch.randn(1, 1, 8, 9, generator=torch.Generator().manual_seed(2))
    weights = torch.rand(2, CLASSES, 9, generator=torch.Generator().manual_seed(3))
    hidden, depths = generator.local_generators(position, codes)
    expected_depths, features = one_class_after_another(generator, codes, position[0])
    torch.testing.assert_close(depths, expected_depths, rtol=1e-4, atol=1e-5)
    composed = (features * weights[:, :, None]).sum(dim=1)
    torch.testing.assert_close(generator.local_generators.features(hidden, weights), composed, rtol=1e-4, atol=1e-5)


def test_the_output_has_the_documented_shapes_and_a_background_at_depth_zero(output):
    assert output.image.shape == (2, 3, 32, 32) and output.mask.shape == (2, CLASSES, 32, 32)
    assert output.coarse_mask.shape == output.depths.shape == (2, CLASSES, 16, 16)
    assert not output.depths[:, 0].any() and output.depths[:, 1:].std() > 0.1
    torch.testing.assert_close((output.coarse_mask + 1).sum(dim=1), torch.full((2, 16, 16), 2.0))


def test_mapping_gives_base_codes_then_shape_and_texture_per_class(generator):
    z = torch.randn(3, 8)
    w_plus = generator.mapping(z)
    assert w_plus.shape == (3, 1 + 2 * CLASSES, 6)
    assert torch.equal(w_plus, w_plus[:, :1].expand_as(w_plus))
    half, mean = generator.mapping(z, truncation_psi=0.5), generator.mapping_network.w_avg
    torch.testing.assert_close(half, (w_plus + mean) / 2)


def test_expansion_gives_every_layer_its_code(generator, w_plus):
    codes = generator.expand(w_plus)
    sources = [[1, 1, 1, 2, 2], [0, 3, 3, 4, 4], [0, 5, 5, 6, 6], [0, 7, 7, 8, 8]]
    assert torch.equal(codes, w_plus[:, sources])
    assert (generator.shape_index(2), generator.texture_index(2)) == (5, 6)


def test_expanded_codes_make_the_same_picture(generator, w_plus, output):
    assert torch.equal(generator.synthesis(generator.expand(w_plus)).image, output.image)


def test_a_texture_code_changes_no_depth_and_a_shape_code_only_its_own(generator, w_plus, output):
    textured, shaped = w_plus.clone(), w_plus.clone()
    textured[:, generator.texture_index(1)] += 1
    shaped[:, generator.shape_index(1)] += 1
    repainted, reshaped = generator.synthesis(textured), generator.synthesis(shaped)
    assert torch.equal(repainted.depths, output.depths) and not torch.allclose(repainted.image, output.image)
    changed = (reshaped.depths - output.depths).abs().amax(dim=(0, 2, 3)) > 1e-4
    assert changed.tolist() == [False, True, False, False]


def test_base_codes_move_everything_but_the_background(generator, w_plus):
    moved = w_plus.clone()
    moved[:, 0] += 1
    before, _ = generator.local(w_plus)
    after, _ = generator.local(moved)
    changed = (after - before).abs().amax(dim=(0, 2, 3)) > 1e-4
    assert changed.tolist() == [False, True, True, True]


def test_a_class_that_is_masked_out_has_no_influence(generator, w_plus):
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0])
    other = w_plus.clone()
    other[:, generator.shape_index(3) :] += 1
    first, second = (generator.synthesis(code, composition_mask=mask) for code in (w_plus, other))
    torch.testing.assert_close(first.image, second.image, rtol=1e-4, atol=1e-5)
    assert (first.coarse_mask[:, 3] == -1).all()


def test_composition_masks_hold_per_sample(generator, w_plus, output):
    mask = torch.ones(2, CLASSES)
    mask[1, 1:] = 0
    images = generator.synthesis(w_plus, composition_mask=mask).image
    torch.testing.assert_close(images[0], output.image[0], rtol=1e-4, atol=1e-5)
    assert (images[1] - output.image[1]).abs().max() > 1e-2


def test_transparent_classes_are_added_to_what_lies_behind(generator, output):
    masks, weights = generator.compose(output.depths)
    opaque = [0, 1, 3]
    torch.testing.assert_close(weights[:, opaque].sum(dim=1), torch.ones(2, 16, 16))
    torch.testing.assert_close(weights[:, opaque], output.depths[:, opaque].softmax(dim=1))
    torch.testing.assert_close(weights[:, TRANSPARENT], masks[:, TRANSPARENT])


def test_coordinates_move_one_class_and_leave_the_others(generator, w_plus, output):
    step = 2 / 15  # one coarse pixel
    move = torch.zeros(CLASSES, 2)
    move[1] = torch.tensor([3 * step, step])
    depths = generator.synthesis(w_plus, coords=generator.coordinates(move)).depths
    torch.testing.assert_close(depths[:, 1, 1:, 3:], output.depths[:, 1, :-1, :-3], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(depths[:, [0, 2, 3]], output.depths[:, [0, 2, 3]], rtol=1e-4, atol=1e-5)


def test_zoom_enlarges_about_the_centre(generator):
    grid, zoomed = generator.coordinates(), generator.coordinates(zoom=torch.full((CLASSES,), 2.0))
    assert torch.equal(zoomed, grid / 2)
    assert grid[0, 0, 0, -1] == 1 and grid[0, 1, -1, 0] == 1 and grid[0, 0, -1, 0] == -1


def test_coordinates_hold_per_sample(generator, w_plus, output):
    grid = generator.coordinates()
    images = generator.synthesis(w_plus, coords=torch.stack([grid, grid * 0.5])).image
    torch.testing.assert_close(images[0], output.image[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(images[1], output.image[1], atol=1e-2)


def test_batch_equals_singles(generator, w_plus, output):
    for row, code in zip(output.image, w_plus, strict=True):
        torch.testing.assert_close(generator.synthesis(code[None]).image[0], row, rtol=1e-4, atol=1e-5)


def test_noise_modes(generator, w_plus, output):
    assert not torch.allclose(output.image, generator.synthesis(w_plus, "none").image)
    draw = [
        generator.synthesis(w_plus, "random", generator=torch.Generator().manual_seed(seed)).image for seed in (5, 5, 6)
    ]
    assert torch.equal(draw[0], draw[1]) and not torch.allclose(draw[0], draw[2])


def test_without_refinement_the_coarse_mask_does_not_enter_the_mask(generator, w_plus, output):
    plain = SemanticStyleGANGenerator.from_config(generator.config, residual_refine=False)
    plain.load_state_dict(generator.state_dict())
    result = plain.synthesis(w_plus)
    torch.testing.assert_close(result.image, output.image, rtol=1e-4, atol=1e-5)
    from_coarse = output.mask - result.mask
    pooled = F.avg_pool2d(from_coarse, 2)[:, :, 2:-2, 2:-2]
    smooth = F.avg_pool2d(output.coarse_mask, 3, stride=1)[:, :, 1:-1, 1:-1]
    assert (pooled - smooth).abs().mean() < 0.1 * smooth.abs().mean()


@pytest.mark.parametrize("detach", [True, False])
def test_texture_trains_shape_layers_of_the_background_only_if_the_gradient_stops(detach):
    G = build(detach_texture=detach)
    hidden, _ = G.local(torch.randn(2, G.n_latent, 6))
    hidden.square().sum().backward()
    reached = G.local_generators.weight.grad[0].abs().amax(dim=(1, 2)) > 0
    assert reached.tolist() == [True] + [not detach] * (CLASSES - 1)


def test_second_derivatives_reach_the_weights():
    """Path length and R1 differentiate twice; a layer without a second derivative would break training silently."""
    G = build()
    codes = G.expand(G.mapping(torch.randn(2, 8)))
    output = G.synthesis(codes)
    (gradient,) = torch.autograd.grad((output.image * torch.randn_like(output.image)).sum(), codes, create_graph=True)
    gradient.square().sum().backward()
    weights = (G.local_generators.weight, G.local_generators.feature_weight, G.render_net.convs[1].weight)
    assert all(weight.grad.abs().sum() > 0 for weight in weights)


def test_save_and_load_keep_picture_and_configuration(generator, w_plus, output, tmp_path):
    generator.save_pretrained(tmp_path)
    loaded = SemanticStyleGANGenerator.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.synthesis(w_plus).image, output.image, rtol=1e-4, atol=1e-5)
    assert {name: loaded.config[name] for name in CONFIG} == CONFIG


def test_half_precision_stays_close(generator, w_plus, output):
    half = SemanticStyleGANGenerator.from_config(generator.config).to(torch.bfloat16)
    half.load_state_dict(generator.state_dict())
    image = half.synthesis(w_plus.to(torch.bfloat16)).image
    assert (image.float() - output.image).abs().mean() < 0.1 * output.image.abs().mean()


def test_the_portrait_configuration_is_small():
    with torch.device("meta"):
        G = SemanticStyleGANGenerator(
            resolution=128,
            transparent_classes=[10, 12],
            coarse_resolution=32,
            min_resolution=8,
            local_layers=6,
            depth_layers=4,
            local_width=32,
            feature_width=64,
            channels={"16": 128, "32": 128, "64": 64, "128": 32},
        )
    assert G.n_latent == 28
    assert sum(parameter.numel() for parameter in G.parameters()) < 5e6


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda G, w: G.synthesis(w[:, :-1]), r"takes \[batch, 9, 6\], which is 1 base codes and two for each of 4"),
        (lambda G, w: G.synthesis(w[:, None, None]), r"W\+ code of shape"),
        (lambda G, w: G.synthesis(w, composition_mask=torch.ones(2, 5)), r"takes \[2, 4\] or \[4\]"),
        (lambda G, w: G.synthesis(w, composition_mask=torch.ones(3, 4)), r"mask of shape \[3, 4\]"),
        (lambda G, w: G.synthesis(w, coords=torch.zeros(4, 2, 8, 8)), r"takes \[4, 2, 16, 16\]"),
        (lambda G, w: G.synthesis(w, "loud"), "Noise mode 'loud' is unknown"),
        (lambda G, w: G.mapping(torch.zeros(1, 7)), r"takes \[batch, 8\]"),
        (lambda G, w: G.coordinates(zoom=torch.zeros(CLASSES)), "zooms above zero"),
        (lambda G, w: G.coordinates(move=torch.zeros(3, 2)), r"give \[4, 2\]"),
        (lambda G, w: build(resolution=48), "three powers of two"),
        (lambda G, w: build(coarse_resolution=32), "in rising order"),
        (lambda G, w: build(channels={"16": 8}), "lacks resolution 32"),
        (lambda G, w: build(base_layers=4), "4 base, 3 depth and 5 layers"),
        (lambda G, w: build(num_classes=1, class_names=None), "at least one"),
        (lambda G, w: build(class_names=["a"]), "1 class names for 4 classes"),
        (lambda G, w: build(transparent_classes=[4]), "Class 4 cannot be transparent"),
    ],
)
def test_wrong_input_gets_one_sentence(generator, w_plus, call, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        call(generator, w_plus)
    assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")


# The discriminator ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def discriminator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        channels = {"4": 8, "8": 8, "16": 6, "32": 4}
        return SemanticStyleGANDiscriminator(
            resolution=32, mask_resolution=16, num_classes=CLASSES, channels=channels
        ).eval()


def test_the_discriminator_judges_image_and_mask_with_separate_gradients(discriminator):
    image, mask = torch.randn(4, 3, 32, 32, requires_grad=True), torch.randn(4, CLASSES, 16, 16, requires_grad=True)
    score = discriminator(image, mask)
    gradients = torch.autograd.grad(score.sum(), (image, mask), create_graph=True)
    sum(gradient.square().sum() for gradient in gradients).backward()
    assert score.shape == (4, 1)
    assert all(branch.entry.weight.grad.any() for branch in (discriminator.image_branch, discriminator.mask_branch))


def test_without_a_mask_the_discriminator_judges_the_image_alone(discriminator):
    image = torch.randn(2, 3, 32, 32)
    score = discriminator(image)
    assert not torch.allclose(score, discriminator(image, torch.randn(2, CLASSES, 16, 16)))
    assert not torch.allclose(score, discriminator(image + 1))


@pytest.mark.parametrize(
    ("image", "mask", "sentence"),
    [
        ((2, 3, 16, 16), None, r"image has shape \[2, 3, 16, 16\]"),
        ((2, 3, 32, 32), (2, 5, 16, 16), r"mask has shape \[2, 5, 16, 16\] where \[2, 4, 16, 16\]"),
        ((2, 3, 32, 32), (1, 4, 16, 16), "of one batch"),
    ],
)
def test_images_and_masks_of_other_sizes_are_refused(discriminator, image, mask, sentence):
    with pytest.raises(InputError, match=sentence):
        discriminator(torch.zeros(image), None if mask is None else torch.zeros(mask))
