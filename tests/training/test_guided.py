"""Guided training of a tiny generator."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfhub.portraits.latents import ATTRIBUTE_GROUPS, CODE_GROUPS, W_DIM, unexplained_variance
from sfhub.portraits.parser import PortraitParser
from sfhub.training.data import PairedPortraits
from sfhub.training.guided import PRESETS, GuidedTraining, build_generator, channel_groups, train_growing, train_guided

TINY = GuidedTraining(
    resolution=32,
    channels={"4": 32, "8": 32, "16": 24, "32": 16},
    discriminator_channels={"4": 16, "8": 16, "16": 16, "32": 16},
    images=48,
    batch_size=8,
    adversarial_from=16,
    r1_interval=2,
    save_images=24,
    sample_images=48,
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> PairedPortraits:
    return PairedPortraits(24, 32, seed=3, cache_dir=tmp_path_factory.mktemp("pairs"), mirror=True)


@pytest.fixture(scope="module")
def parser() -> PortraitParser:
    torch.manual_seed(0)
    return PortraitParser(resolution=32, widths=(8, 8), feature_dim=16).eval()


def _groups_heard(G) -> dict[str, set[int]]:
    """Groups of the style channels that answer to each group of attributes."""
    groups, columns = channel_groups(G.style_layout), torch.tensor(CODE_GROUPS)
    w, heard = torch.randn(1, W_DIM), {}
    for index, name in enumerate(ATTRIBUTE_GROUPS):
        other = w.clone()
        other[:, : len(columns)][:, columns == index] += 1
        before, after = G.styles(torch.cat([w, other])[:, None].expand(-1, G.num_ws, -1))
        heard[name] = set(groups[(before - after).abs() > 1e-6].tolist())
    return heard


def test_a_style_channel_answers_to_one_group_only_where_that_is_asked_for(pairs, tmp_path):
    strict = _groups_heard(train_guided(replace(TINY, group_decay=1.0), pairs, tmp_path / "strict"))
    assert strict == {name: {index} for index, name in enumerate(ATTRIBUTE_GROUPS)}
    free = _groups_heard(train_guided(replace(TINY, group_decay=0.0), pairs, tmp_path / "free"))
    assert all(len(groups) == len(ATTRIBUTE_GROUPS) for groups in free.values())


def test_the_mapping_network_is_exact_and_stays(pairs, tmp_path):
    assert unexplained_variance(train_guided(TINY, pairs, tmp_path).mapping_network) < 0.005


def test_all_losses_are_recorded(pairs, parser, tmp_path):
    train_guided(TINY, pairs, tmp_path, parser=parser)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"images", "pixel", "attributes", "parse", "feature", "loss_g", "loss_d", "r1"} <= set(last)
    assert last["images"] == TINY.images


def test_a_resumed_training_ends_at_the_same_weights(pairs, parser, tmp_path):
    whole = train_guided(TINY, pairs, tmp_path / "whole", parser=parser).state_dict()
    stop = tmp_path / "stopped"

    class Killed(Exception):
        pass

    class Cut(PairedPortraits):
        served = 0

        def __getitem__(self, index):
            Cut.served += 1
            if Cut.served > 48 + 4 * TINY.batch_size:  # the parser is measured on all 48 first
                raise Killed
            return super().__getitem__(index)

    cut = Cut(24, 32, seed=3, cache_dir=Path(pairs.images.filename).parents[1], mirror=True)
    with pytest.raises(Killed):
        train_guided(TINY, cut, stop, parser=parser)
    resumed = train_guided(TINY, pairs, stop, parser=parser).state_dict()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_every_preset_can_be_built():
    for name, config in PRESETS.items():
        G = build_generator(config)
        assert G.config.resolution == config.resolution, name


def test_a_training_goes_on_from_the_layers_of_the_lower_resolutions(pairs, tmp_path):
    config = replace(TINY, growth={"16": 16}, images=8, learning_rate=0.0)
    small = PairedPortraits(24, 16, seed=3, cache_dir=tmp_path / "data", mirror=True)
    G = train_growing(config, {16: small, 32: pairs}.__getitem__, tmp_path / "grown")
    lower = type(G).from_pretrained(tmp_path / "grown" / "growth" / "16" / "ema")
    grown, known = G.state_dict(), lower.state_dict()
    assert all(torch.equal(grown[name], known[name]) for name in known)
    assert (G.to_rgbs[-1].weight == 0).all()
