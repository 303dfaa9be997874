"""The model in the package: what the README promises holds for it."""

import numpy as np
import pytest
import torch

from sfhub import StyleGANPipeline, open_pipeline, redo
from sfhub.pipelines.hub import resolve
from sfhub.regions.separability import mean_change

REGIONS = {"background", "hair", "face", "eyes", "mouth", "clothes", "glasses", "hat"}


@pytest.fixture(scope="module")
def pipe():
    return StyleGANPipeline.from_pretrained("portraits")


def test_the_readme_script_runs_and_the_picture_is_made_again_from_the_file(pipe, tmp_path):
    base, other = pipe.sample([1, 2])
    mixed = pipe.mix(base, {"hair": other})
    mixed.save(tmp_path / "mixed.png")
    assert mixed.image.size == (128, 128) and mixed.image.tobytes() != base.image.tobytes()
    assert redo(tmp_path / "mixed.png").image.tobytes() == mixed.image.tobytes()


def test_it_has_the_regions_of_a_portrait_and_a_style_space_wide_enough_for_editing(pipe):
    assert set(pipe.catalog.regions) == REGIONS
    assert set(pipe.regions) >= REGIONS | {"skin"}
    assert pipe.generator.style_layout.size >= 1_500


@pytest.mark.parametrize("region", ["hair", "face", "eyes", "mouth", "clothes", "background"])
def test_mixing_a_region_changes_that_region_most(pipe, region):
    samples = pipe.sample(range(101, 113))
    inside, outside = [], []
    for base, source in zip(samples[::2], samples[1::2], strict=True):
        mixed = pipe.mix(base, {region: source})
        mask = torch.as_tensor(pipe.segment(base).mask(region))
        change = torch.as_tensor(pipe.difference(base, mixed))
        a, b = mean_change(change, mask)
        inside.append(float(a))
        outside.append(float(b))
    assert sum(inside) > 2 * sum(outside)


def test_pictures_are_shaded_and_varied(pipe):
    pictures = torch.stack(
        [torch.frombuffer(bytearray(s.image.tobytes()), dtype=torch.uint8) for s in pipe.sample(range(8))]
    )
    assert pictures.float().std(dim=1).min() > 20
    assert pictures.float().std(dim=0).mean() > 15


def test_the_weights_fit_the_wheel_and_are_data_only():
    files = [path for path in resolve("portraits").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".png"}


def test_the_overlay_shows_the_parsers_outlines_by_region(pipe):
    sample = pipe.sample(4)[0]
    found = pipe.segment(sample)
    assert found.regions == pipe.catalog.regions
    image = torch.tensor(np.asarray(sample.image)).float().permute(2, 0, 1) / 127.5 - 1
    mask = pipe.catalog.region_labels(pipe.parser.segment(image[None]))[0]
    assert (torch.as_tensor(found.labels) == mask).float().mean() > 0.99


@pytest.mark.parametrize("model", ["portraits", "portraits-semantic"])
def test_it_has_ready_made_edits_that_show_in_their_regions(model):
    pipe = open_pipeline(model)
    assert len(pipe.edits) >= 24
    (base,) = pipe.sample(3)
    kept, whole = 0.0, 0.0
    for name in ("mouth open", "blue eyes", "light clothes", "light background"):
        edit = pipe.edits[name]
        low, high = edit.range
        assert low < 0 < high
        kept += pipe.edit(base, name, high).outside.mean
        whole += pipe.outside_of(base, pipe.edit(base, name, high, region=None), edit.region).mean
        assert pipe.edit(base, name, high, lock=True).outside.share == 0
    assert kept < whole / 2
