"""The measures of SemanticStyleGAN, on a generator whose two classes are the halves of the picture."""

import json
from types import SimpleNamespace

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from PIL import Image

from sfhub.errors import InputError
from sfhub.metrics import semantic_report as report
from sfhub.metrics import semantic_stylegan as measures
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.regions.sampling import sample_styles
from sfhub.steps.png import DIGITAL_SOURCE_TYPE, read_recipe
from tests.halves import HalvesParser, halves_generator
from tests.halves_semantic import semantic_halves_generator


class SameClassParser:
    """Sees one class everywhere, and knows no other."""

    config = SimpleNamespace(class_names=["west"])

    def segment(self, image):
        return torch.zeros(len(image), *image.shape[-2:], dtype=torch.uint8)


@pytest.fixture(scope="module")
def pipe():
    return SemanticStyleGANPipeline(semantic_halves_generator())


@pytest.fixture(scope="module", params=[None, HalvesParser()], ids=["own masks", "parser"])
def rows(request):
    return measures.measure_locality(
        semantic_halves_generator(), request.param, pairs=12, batch_size=16, progress=False
    )


def test_codes_are_those_of_the_latents_that_stylegan2_is_measured_on(pipe):
    other = halves_generator()
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(7))
    assert torch.equal(sample_styles(other, 3, 7, 0.5), other.styles(other.mapping(z, truncation_psi=0.5)))
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(7))
    assert torch.equal(measures.sample_codes(pipe.generator, 3, 7, 0.5), pipe.generator.mapping(z, 0.5))


def test_an_exchange_moves_the_codes_of_a_class_and_no_others(pipe):
    G = pipe.generator
    base, reference = torch.zeros(3, G.n_latent, 8), torch.ones(3, G.n_latent, 8)
    both, shape, texture = measures.exchange_mixer(G, [1], ("both", "shape", "texture"))(base, reference)
    assert not both[:, : G.shape_index(1)].any() and both[:, G.shape_index(1) :].all()
    assert shape.sum(dim=(0, 2)).nonzero().flatten().tolist() == [G.shape_index(1)]
    assert torch.equal(shape + texture, both)
    assert not base.any()


def test_a_region_changes_where_it_is_and_little_elsewhere(rows):
    both = [row for row in rows if row["part"] == "both"]
    assert [row["region"] for row in both] == ["west", "east"]
    assert all(row["pairs"] == 12 and row["transfer"] > 0.7 and row["selectivity"] > 3 for row in both)


def test_texture_moves_no_mask_that_is_made_from_depths(rows):
    assert all(row["moved"] == 0 for row in rows if row["part"] == "texture")


def test_a_shape_that_depths_depend_on_moves_the_mask(pipe):
    G = semantic_halves_generator()
    with torch.no_grad():
        G.local_generators.depth_weight[:, 1:] = 100 * torch.randn(7, generator=torch.Generator().manual_seed(3))
    base, reference = measures.sample_codes(G, 16, 5, 1.0).chunk(2)
    mix = measures.exchange_mixer(G, [1], ("both", "shape", "texture"))
    both, shape, texture = measures.mask_movement(G, [1], mix, base, reference, batch_size=3)
    assert 0 < shape <= 1 and both == pytest.approx(shape) and texture == 0


def test_a_class_that_no_picture_shows_has_no_movement(pipe):
    G = semantic_halves_generator()
    with torch.no_grad():
        G.local_generators.depth_bias.fill_(-1e4)
    base, reference = measures.sample_codes(G, 4, 5).chunk(2)
    mix = measures.exchange_mixer(G, [1], ("both", "texture"))
    assert measures.mask_movement(G, [1], mix, base, reference) == [None, None]


def test_masks_that_show_the_same_halves_agree():
    agreement = measures.measure_masks(
        semantic_halves_generator(), HalvesParser(), count=5, batch_size=2, progress=False
    )
    assert agreement.mean_iou > 0.85 and agreement.accuracy > 0.9 and agreement.count == 5
    assert list(agreement.class_iou) == ["west", "east"]


def test_masks_agree_by_name_whatever_number_the_parser_has_for_a_class():
    class Swapped(HalvesParser):
        config = SimpleNamespace(class_names=["east", "sky", "west"])

        def segment(self, image):
            return torch.tensor([2, 0])[super().segment(image).long()]

    same, swapped = (
        measures.measure_masks(semantic_halves_generator(), parser, count=3, progress=False)
        for parser in (HalvesParser(), Swapped())
    )
    assert swapped == same


def test_a_parser_that_sees_something_else_agrees_on_half_of_the_pixels():
    class AllWest(SameClassParser):
        config = SimpleNamespace(class_names=["west", "east"])

    agreement = measures.measure_masks(semantic_halves_generator(), AllWest(), count=2, progress=False)
    assert agreement.accuracy == pytest.approx(0.5, abs=0.05)
    assert agreement.class_iou["east"] == 0 and agreement.mean_iou == pytest.approx(0.25, abs=0.03)


def test_missing_parsers_classes_and_regions_are_named(pipe):
    with pytest.raises(InputError, match="no parser to compare"):
        measures.measure_masks(pipe.generator, None, count=1)
    with pytest.raises(InputError, match="knows west, but not 'east'"):
        measures.measure_masks(pipe.generator, SameClassParser(), count=1)
    with pytest.raises(InputError, match="'nose'"):
        measures.measure_locality(pipe.generator, regions=["nose"], pairs=1)


def test_locality_and_masks_are_saved_with_their_settings(rows, tmp_path):
    table = report.save_locality(rows, tmp_path / "new", pairs=12)
    assert json.loads((tmp_path / "new" / "locality.json").read_text()) == {"pairs": 12, "rows": rows}
    assert (tmp_path / "new" / "locality.md").read_text() == table
    assert "| 0.00% |" in table and table.count("| east |") == 1
    agreement = measures.MaskAgreement(0.8, {"west": 0.9, "east": 0.7}, 0.95, 3)
    assert "| 0.800 | 0.950 | 0.900 | 0.700 |" in report.save_masks(agreement, tmp_path, seed=1)
    assert json.loads((tmp_path / "masks.json").read_text())["class_iou"] == {"west": 0.9, "east": 0.7}


def test_a_film_is_written_as_frames_gif_and_mp4_that_say_they_are_synthetic(pipe, tmp_path):
    a, b = pipe.sample([1, 2])
    films = {name: pipe.interpolate(a, b, 5, names) for name, names in report.film_regions(["east+west"]).items()}
    assert list(films) == ["everything", "east+west"]
    with Image.open(report.save_films(films, tmp_path, frames_per_second=10)) as strips:
        assert min(strips.size) > 100
    frames = sorted((tmp_path / "everything").iterdir())
    assert len(frames) == 5 and read_recipe(frames[2])["steps"][-1]["position"] == 0.5
    assert imageio.imread(tmp_path / "everything.gif").shape == (5, 32, 32, 3)
    with Image.open(tmp_path / "everything.gif") as gif:
        assert gif.info["comment"] == DIGITAL_SOURCE_TYPE.encode() and gif.info["duration"] == 100
    video = imageio.imread(tmp_path / "everything.mp4", plugin="FFMPEG")
    assert video.shape == (5, 32, 32, 3)
    assert abs(video[0].astype(float) - np.asarray(a.image)).mean() < 20
    assert DIGITAL_SOURCE_TYPE.encode() in (tmp_path / "everything.mp4").read_bytes()


def test_mixing_rows_hold_the_base_then_the_region_of_each_reference(pipe):
    base, *references = pipe.sample([1, 2, 3])
    rows = report.mix_grid(pipe.mix, [base], references, ["east"], "texture")
    assert list(rows) == ["references", "east"]
    assert rows["east"][0] is base.image and rows["references"][1] is references[0].image
    assert rows["east"][2].tobytes() == pipe.mix(base, texture={"east": references[1]}).image.tobytes()
    assert list(report.mix_grid(pipe.mix, [base], references, ["east"])) == ["references", "east", "coarse structure"]


def test_the_foreground_stands_before_the_photograph_where_it_was_put(pipe):
    photograph = Image.new("RGB", (32, 32), (255, 0, 0))
    placements = {"here": (0, 0, 1), "half the picture to the right": (1, 0, 1)}
    here, moved = report.place_foreground(pipe.compose, ["east"], pipe.sample(1), [photograph], placements)[0]
    before = pipe.sample(1)[0]
    assert np.asarray(here.image)[16, 2].tolist() == pytest.approx([255, 0, 0], abs=2)
    assert pipe.difference(here, before)[4:-4, 22:-4].max() < 2
    assert np.asarray(moved.image)[16, 24].tolist() == pytest.approx([255, 0, 0], abs=40)


def test_components_and_samples_are_drawn(pipe, tmp_path):
    samples = pipe.sample([1, 2, 3])
    paths = [
        report.save_components([pipe.build_up(each) for each in samples], tmp_path / "new" / "components.png"),
        report.save_samples(
            samples, tmp_path / "other" / "grid.png", segment=pipe.segment, depths=pipe.depths, columns=2
        ),
    ]
    with Image.open(paths[0]) as opened:
        assert min(opened.size) > 300
    with Image.open(paths[1]) as opened:
        assert opened.size == (2 * 3 * 32, 2 * 32)
        grid = np.asarray(opened)
    assert np.array_equal(grid[:32, :32], np.asarray(samples[0].image))
    depth = grid[:32, 64:96, 0]
    assert depth[:, :12].max() < 10 and depth[:, -1].min() > 200
