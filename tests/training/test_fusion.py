"""Training StyleFusion: the losses measure what they should, it learns, and a killed training resumes exactly."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from diffusers import ModelMixin  # noqa: F401 - before torch counts threads
from safetensors.torch import load_file
from torch import nn

from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.catalog import RegionCatalog
from sfhub.regions.sampling import sample_styles
from sfhub.regions.soft import soft_clusters, soft_regions
from sfhub.training.checkpoint import read_checkpoint, write_checkpoint
from sfhub.training.fusion import ABLATIONS, PRESETS, FusionTraining, train_fusion
from sfhub.training.fusion_losses import (
    channel_weights,
    contrastive_loss,
    fusion_loss,
    localization_loss,
    mask_loss,
    region_masks,
)

TREE = RegionTree(
    {"all": ["head", "rest"], "head": ["hair", "skin"]}, regions={"skin": ["face", "mouth"], "rest": ["background"]}
)
TINY = FusionTraining(
    hidden_widths=(24,),
    stage_steps=(2, 3, 2),
    batch_size=2,
    code_batch_size=4,
    base_probability=0.5,
    log_steps=2,
    save_steps=8,
)


def model() -> tuple[StyleGAN2Generator, RegionCatalog]:
    """A tiny generator and a catalog by which every channel of S moves one region."""
    torch.manual_seed(0)
    channels = {"4": 8, "8": 8, "16": 8}
    generator = StyleGAN2Generator(resolution=16, z_dim=8, w_dim=8, num_mapping_layers=2, channels=channels)
    layers = [[entry.name, entry.width] for entry in generator.style_layout]
    regions = ("background", "hair", "face", "mouth")
    catalog = RegionCatalog(regions, "convs.1", 4, 8, 16, layers)
    catalog.centers.copy_(nn.functional.normalize(torch.randn(4, 8), dim=1))
    catalog.cluster_region.copy_(torch.arange(4))
    owner = torch.arange(generator.style_layout.size) % 4
    catalog.influence.copy_(torch.where(owner == torch.arange(4)[:, None], 0.9, 0.1))
    catalog.contribution.copy_(torch.where(owner == torch.arange(4)[:, None], 0.7, 0.1))
    return generator, catalog


def train(out: Path, config: FusionTraining = TINY, tree: RegionTree = TREE, **options) -> FusionHierarchy:
    return train_fusion(config, *model(), tree, out, accelerator=Accelerator(cpu=True), **options)


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_training_writes_a_loadable_hierarchy_strips_curves_and_a_log(tmp_path):
    seen = []
    hierarchy = train(tmp_path, callback=seen.append)
    loaded = FusionHierarchy.from_pretrained(tmp_path / "hierarchy")
    assert loaded.tree == TREE
    base, source = sample_styles(model()[0], 4, seed=1).chunk(2)
    codes = {"all": base, "hair": source}
    torch.testing.assert_close(loaded.mix(codes), hierarchy.mix(codes))
    assert (tmp_path / "samples" / "000014.png").stat().st_size > 0 < (tmp_path / "losses.png").stat().st_size
    assert log(tmp_path) == seen and seen[-1]["step"] == 14
    assert [(row["level"], row["stage"]) for row in seen if row["step"] in (2, 5, 7, 9, 12, 14)] == [
        (level, stage) for level in (0, 1) for stage in (1, 2, 3)
    ]


def test_every_region_of_the_result_comes_from_its_own_source_after_the_fuse_stage(tmp_path):
    config = dataclasses.replace(TINY, stage_steps=(0, 200, 0), code_batch_size=16, log_steps=50, save_steps=10_000)
    config = dataclasses.replace(config, learning_rate=(3.0, 3.0, 3.0), initial_alignment=0.01)
    hierarchy = train(tmp_path, config)
    generator, catalog = model()
    base, source = sample_styles(generator, 64, seed=5).chunk(2)
    mixed = hierarchy.mix({"all": base, "hair": source})
    moved = (mixed - base).norm(dim=0) / (source - base).norm(dim=0)
    of_hair = catalog.influence[1] > 0.5
    assert moved[of_hair].mean() > 0.85
    assert moved[~of_hair].mean() < 0.15
    first, *_, last = [row for row in log(tmp_path) if row["level"] == 1]
    assert last["fusion"] < 0.3 * first["fusion"] and last["own"] > 0.85


def test_the_align_stage_moves_regions_to_where_the_layout_has_them(tmp_path):
    config = dataclasses.replace(TINY, stage_steps=(200, 0, 0), batch_size=8, fusion_weight=(0, 0, 0), log_steps=15)
    config = dataclasses.replace(config, align_weight=(0.01, 0, 0), common_layers=None, save_steps=10_000)
    config = dataclasses.replace(config, learning_rate=(5.0, 1.0, 1.0))
    train(tmp_path, config)
    first, *_, last = [row for row in log(tmp_path) if row["level"] == 0]
    assert last["mask"] < 0.7 * first["mask"]
    assert last["align"] > first["align"]


def test_stopped_training_goes_on_to_the_same_weights(tmp_path):
    class Stopped(Exception):
        pass

    def stop(record):
        if record["step"] >= 9:
            raise Stopped

    whole = train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "parts", callback=stop)
    assert read_checkpoint(tmp_path / "parts" / "checkpoint.safetensors")[1]["step"] == 8
    parts = train(tmp_path / "parts")
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_training_killed_by_the_system_resumes_to_the_same_weights(tmp_path):
    out = tmp_path / "killed"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.training.test_fusion import train\n"
        "train(Path(sys.argv[2]))\n"
    )
    root = Path(__file__).resolve().parents[2]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # like this process: threads change the last bits
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(out)], cwd=root, stderr=subprocess.DEVNULL, env=one_thread
    )
    deadline = time.monotonic() + 240
    while not (out / "checkpoint.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed, whole = train(out), train(tmp_path / "whole")
    for (name, a), b in zip(resumed.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_networks_above_stay_as_they_were_trained(tmp_path):
    kept = {}

    def keep(record):
        if record["step"] == 9:  # after the checkpoint of step 8, the root being done at 7
            state, _ = read_checkpoint(tmp_path / "checkpoint.safetensors")
            kept.update({name: value for name, value in state.items() if name.startswith("hierarchy/nets.all.")})

    hierarchy = train(tmp_path, callback=keep)
    assert kept
    state = hierarchy.state_dict()
    assert all(torch.equal(value, state[name.removeprefix("hierarchy/")]) for name, value in kept.items())


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains(tmp_path, name):
    config = ABLATIONS[name](dataclasses.replace(TINY, mask_weight=(1, 0, 0.5), save_steps=10_000))
    train(tmp_path, config, RegionTree({"all": ["hair", "face"]}))
    stages = {row["stage"] for row in log(tmp_path)}
    assert stages == {"no-stage-1": {2, 3}, "no-global": {2, 3}, "no-stage-2": {1, 3}, "no-stage-3": {1, 2}}.get(
        name, {3}
    )
    assert all(value == value for row in log(tmp_path) for value in row.values())
    if name == "end-to-end":
        assert {"mask", "local", "align", "fusion"} <= log(tmp_path)[-1].keys()


def test_without_a_global_code_the_layout_changes_nothing(tmp_path):
    hierarchy = train(tmp_path, ABLATIONS["no-global"](TINY))
    base, layout = sample_styles(model()[0], 4, seed=1).chunk(2)
    assert torch.allclose(hierarchy.mix({"all": base}, {"all": layout}), base, atol=1e-6)


def test_contrastive_term_and_a_parser_can_be_switched_on(tmp_path):
    class Parser(nn.Module):
        def __init__(self):
            super().__init__()
            self.classify = nn.Conv2d(3, 4, 1)

        def forward(self, image):
            return type("Output", (), {"logits": self.classify(image)})

    generator, catalog = model()
    catalog.register_to_config(class_regions=[0, 1, 2, 3])
    config = dataclasses.replace(TINY, stage_steps=(1, 0, 2), contrastive_weight=(0, 0, 1), resolution=8, log_steps=1)
    train_fusion(config, generator, catalog, TREE, tmp_path, parser=Parser(), accelerator=Accelerator(cpu=True))
    assert log(tmp_path)[-1]["contrastive"] > 0


@pytest.mark.parametrize(
    ("changes", "tree", "message"),
    [
        ({}, RegionTree({"all": ["hair", "bg"]}), "'bg' which the catalog does not have"),
        ({}, RegionTree({"all": ["a", "b"]}, regions={"a": ["hair"], "b": ["face", "hair"]}), "'hair' twice"),
        ({"relevance": "guess"}, TREE, "no relevance 'guess'; choose one of activation, influence, query"),
        ({"stage_steps": (0, 0, 0)}, TREE, "train nothing"),
        ({"initial_alignment": 0.0}, TREE, "between 0 and 1"),
    ],
)
def test_settings_and_trees_that_make_no_sense_are_refused(tmp_path, changes, tree, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path, dataclasses.replace(TINY, **changes), tree)


def test_checkpoint_of_other_settings_is_refused_in_one_sentence(tmp_path):
    train(tmp_path)
    train(tmp_path, dataclasses.replace(TINY, log_steps=3))
    with pytest.raises(InputError, match=r"another epsilon \(0.5 where 0.25"):
        train(tmp_path, dataclasses.replace(TINY, epsilon=0.25))
    with pytest.raises(InputError, match="another tree"):
        train(tmp_path, tree=RegionTree({"all": ["hair", "face"]}))


def test_shipped_presets_name_known_relevances_and_all_stages():
    for config in PRESETS.values():
        assert config.relevance in ("activation", "influence", "query", "guide") and len(config.stage_steps) == 3


# The losses.


def halves(size: int = 8) -> torch.Tensor:
    """Masks `[2, 1, size, size]` of the left and the right half."""
    left = torch.zeros(1, size, size)
    left[:, :, : size // 2] = 1
    return torch.stack([left, 1 - left])


def test_mask_loss_is_the_displaced_share_of_the_regions_area():
    masks = halves()
    assert mask_loss(masks, masks) == 0
    torch.testing.assert_close(mask_loss(masks.roll(1, dims=-1), masks), torch.tensor(4 * 8 / 64))


def test_localization_loss_sees_the_other_region_only():
    masks, image = halves(), torch.zeros(1, 3, 8, 8)
    inside, outside = torch.zeros(2, 2, 1, 3, 8, 8)
    inside[0, ..., :4] = 0.5  # the first code changes the first region
    outside[0, ..., 4:] = 0.5
    assert localization_loss(image, inside, masks) < 1e-3
    torch.testing.assert_close(localization_loss(image, outside, masks), torch.tensor(0.5), atol=1e-3, rtol=0)


def test_channel_weights_follow_equation_8():
    relevance = torch.tensor([[0.9, 0.5, 0.2, 0.0], [0.1, 0.5, 0.8, 0.0]])
    expected = torch.tensor([[0.8, 0.0, 0.0, 0.0], [0.0, 0.0, 0.6, 0.0]])
    torch.testing.assert_close(channel_weights(relevance), expected)


def test_fusion_loss_vanishes_where_each_channel_comes_from_the_source_it_is_bound_to():
    sources, weights = torch.randn(2, 3, 4), torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    code = torch.cat([sources[0, :, :2], sources[1, :, 2:3], torch.randn(3, 1)], dim=1)
    assert fusion_loss(code, sources, weights) < 1e-3
    assert fusion_loss(code.flip(1), sources, weights) > 0.1


def test_contrastive_loss_prefers_the_own_source():
    own, other = torch.eye(2, 4), torch.eye(4)[2:]
    near = contrastive_loss(own, own, other[None], torch.ones(2))
    far = contrastive_loss(other, own, other[None], torch.ones(2))
    assert near < 0.01 < 1 < far
    assert contrastive_loss(other, own, other[None], torch.zeros(2)) == 0


# Differentiable masks.


def test_soft_regions_agree_with_the_label_map_and_sum_to_one():
    generator, catalog = model()
    s = sample_styles(generator, 3, seed=2)
    image, activations = generator.synthesis(s, return_activations=[catalog.layer])
    probability = soft_regions(catalog, image, activations)
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(3, 16, 16))
    assert torch.equal(probability.argmax(dim=1), catalog.segment(activations, size=(16, 16)))
    masks = region_masks(probability, torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]))
    torch.testing.assert_close(masks.sum(dim=0), torch.ones(3, 16, 16))


def test_gradients_flow_from_soft_masks_to_the_style_code():
    generator, catalog = model()
    s = sample_styles(generator, 2, seed=3).requires_grad_(True)
    _, activations = generator.synthesis(s, return_activations=[catalog.layer])
    (gradient,) = torch.autograd.grad(soft_clusters(catalog, activations[catalog.layer])[:, 0].sum(), s)
    assert gradient.abs().sum() > 0


def test_a_layout_query_without_a_parser_that_sees_attributes_is_refused(tmp_path):
    generator, catalog = model()
    config = dataclasses.replace(TINY, layout_weight=(1.0, 0.0, 0.0))
    with pytest.raises(InputError, match="only the portrait parser sees"):
        train_fusion(config, generator, catalog, TREE, tmp_path)


def test_guided_align_blenders_come_near_the_layout_query(tmp_path):
    generator, catalog = model()
    layout = (torch.arange(generator.style_layout.size) % 3 == 0).float()
    save_guide(tmp_path, layout)
    config = dataclasses.replace(TINY, layout_weight=(1.0, 0.0, 0.0), stage_steps=(200, 0, 0), mask_weight=(0.0,) * 3)
    records = []
    train_fusion(config, generator, catalog, TREE, tmp_path, callback=records.append)
    first, last = ([r["layout"] for r in records if r["level"] == 0][i] for i in (0, -1))
    assert last < 0.5 * first


def save_guide(folder, layout, steps=TINY.guide_steps):
    """A layout query, as if it had been found in a training with so many `guide_steps`."""
    made_with = {"layout": True, "claims": False, "steps": steps, "truncation_psi": TINY.truncation_psi}
    write_checkpoint(folder / "guide.safetensors", {"layout": layout}, made_with)


def test_a_guide_of_other_settings_is_not_used_again_and_one_of_another_generator_is_refused(tmp_path):
    generator, catalog = model()
    config = dataclasses.replace(TINY, layout_weight=(1.0, 0.0, 0.0))
    save_guide(tmp_path, torch.zeros(generator.style_layout.size), steps=1)
    with pytest.raises(InputError, match="only the portrait parser sees"):  # it would have to be made anew
        train_fusion(config, generator, catalog, TREE, tmp_path)
    save_guide(tmp_path, torch.zeros(7))
    with pytest.raises(InputError, match="of another generator"):
        train_fusion(config, generator, catalog, TREE, tmp_path)


def test_claims_are_settled_for_any_generator_and_kept_for_a_training_that_goes_on(tmp_path):
    config = dataclasses.replace(TINY, relevance="guide", guide_steps=2)
    train(tmp_path, config)
    kept = tmp_path / "guide.safetensors"
    claims = load_file(kept)["claims"]
    assert torch.equal(claims.sum(dim=0), torch.ones(claims.shape[1]))
    written = kept.stat().st_mtime_ns
    train(tmp_path, config)
    assert kept.stat().st_mtime_ns == written
