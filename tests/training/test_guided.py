"""Guided training of a tiny generator."""

import json
from pathlib import Path

import pytest
import torch

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.portraits.latents import ATTRIBUTE_GROUPS, CODE_GROUPS, LATENT_DIM
from sfhub.training.data import PairedPortraits
from sfhub.training.guided import GuidedTraining, channel_groups, fit_mapping, train_guided

TINY = GuidedTraining(
    resolution=32,
    num_mapping_layers=3,
    channels={"4": 32, "8": 32, "16": 24, "32": 16},
    discriminator_channels={"4": 16, "8": 16, "16": 16, "32": 16},
    images=48,
    batch_size=8,
    adversarial_from=16,
    mapped_from=24,
    mapping_steps=2,
    r1_interval=2,
    save_images=24,
    sample_images=48,
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> PairedPortraits:
    return PairedPortraits(48, 32, seed=3, cache_dir=tmp_path_factory.mktemp("pairs"))


def test_a_style_channel_answers_to_one_group_only(pairs, tmp_path):
    G = train_guided(TINY, pairs, tmp_path)
    groups = channel_groups(G.style_layout)
    columns = torch.tensor(CODE_GROUPS)
    w = torch.randn(1, LATENT_DIM)
    for index, name in enumerate(ATTRIBUTE_GROUPS):
        other = w.clone()
        other[:, : len(columns)][:, columns == index] += 1
        both = torch.cat([w, other])[:, None].expand(-1, G.num_ws, -1)
        before, after = G.styles(both)
        moved = (before - after).abs() > 1e-6
        assert moved.any(), name
        assert set(groups[moved].tolist()) == {index}, name


def test_all_losses_are_recorded(pairs, tmp_path):
    train_guided(TINY, pairs, tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"images", "pixel", "feature", "loss_g", "loss_d", "r1"} <= set(last)
    assert last["images"] == TINY.images


def test_a_resumed_training_ends_at_the_same_weights(pairs, tmp_path):
    whole = train_guided(TINY, pairs, tmp_path / "whole").state_dict()
    stop = tmp_path / "stopped"

    class Killed(Exception):
        pass

    class Cut(PairedPortraits):
        served = 0

        def __getitem__(self, index):
            Cut.served += 1
            if Cut.served > 4 * TINY.batch_size:
                raise Killed
            return super().__getitem__(index)

    cut = Cut(48, 32, seed=3, cache_dir=Path(pairs.images.filename).parents[1])
    with pytest.raises(Killed):
        train_guided(TINY, cut, stop)
    resumed = train_guided(TINY, pairs, stop).state_dict()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_fitting_lowers_the_unexplained_variance():
    torch.manual_seed(0)
    G = StyleGAN2Generator(
        resolution=8, z_dim=LATENT_DIM, w_dim=LATENT_DIM, num_mapping_layers=5, channels={"4": 8, "8": 8}
    )
    before = fit_mapping(G, 0)
    assert fit_mapping(G, 150, batch=128) < 0.6 * before
