"""Which channels a text is about is measured once, fits one generator and one encoder, and moves what it should."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.text.relevance import TextRelevance, displaced, measure_relevance


def measured(pipe, encoder, basis, **options):
    z = torch.randn(40, pipe.generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    w_plus = pipe.generator.mapping(z)
    codes = w_plus.flatten(1) if pipe.FAMILY == "SemanticStyleGAN" else pipe.generator.styles(w_plus)
    return measure_relevance(
        pipe.code_space, pipe.shown, w_plus, codes, encoder, basis=basis, images=2, progress=False, beta=0.0, **options
    )


@pytest.mark.parametrize("family", ["tiny_pipeline", "semantic_pipeline"])
def test_a_direction_moves_pictures_towards_its_text(family, tiny_encoder, request):
    pipe = request.getfixturevalue(family)
    found = measured(pipe, tiny_encoder, "w")
    assert found.relevance.shape == (pipe.code_space.w_dim, 16)
    direction = found.direction(tiny_encoder, "sad", beta=0.0)
    wanted = torch.nn.functional.normalize(
        tiny_encoder.averaged("sad") - tiny_encoder.averaged(found.config.neutral), dim=0
    )
    moved = displaced(pipe.code_space, "w", direction[None])
    gains = []
    with torch.no_grad():
        for sample in pipe.sample(range(8), 1.0):
            before, after = (
                tiny_encoder.pictures(pipe.shown(sample.s + way * moved))[0] @ wanted for way in (-0.5, 0.5)
            )
            gains.append(float(after - before))
    assert sum(gains) > 0


def test_the_paper_s_channels_are_those_of_the_convolutions(tiny_pipeline, tiny_encoder, tmp_path):
    found = measured(tiny_pipeline, tiny_encoder, "s")
    layout = tiny_pipeline.generator.style_layout
    assert int(found.places.max()) < layout.conv_size
    found.save_pretrained(tmp_path)
    again = TextRelevance.from_pretrained(tmp_path)
    a, b = (each.direction(tiny_encoder, "a hat") for each in (found, again))
    assert torch.equal(a, b) and a.shape == (layout.size,)
    # The most relevant channel moves by its standard deviation.
    share = a[found.places].abs() / found.std.clamp(min=1e-9)
    assert share.max().item() == pytest.approx(1.0, rel=1e-4)


def test_another_generator_or_encoder_is_refused(tiny_pipeline, semantic_pipeline, tiny_encoder):
    found = measured(tiny_pipeline, tiny_encoder, "w")
    found.check_space(tiny_pipeline.code_space)
    with pytest.raises(InputError, match="measured on a generator of 32 pixels"):
        found.check_space(semantic_pipeline.code_space)
    other = type(tiny_encoder)(tiny_encoder.network, tiny_encoder.tokenizer, "other")
    other.digest = "0" * 64
    with pytest.raises(InputError, match="not with 'other'"):
        found.direction(other, "sad")
    with pytest.raises(InputError, match="no basis"):
        measured(tiny_pipeline, tiny_encoder, "z")
