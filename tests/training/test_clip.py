"""Training a CLIP on portraits: which text is true of which picture, exact resume, a folder that open_clip opens."""

import json
from dataclasses import replace

import pytest
import torch

from sfhub.errors import InputError
from sfhub.portraits.statements import FALSE, STATEMENTS, TRUE, UNCLEAR
from sfhub.text.encoder import TextEncoder
from sfhub.training.clip import ClipTraining, SpokenPortraits, train_clip
from sfhub.training.clip_losses import Anchors, contrastive_loss, matches
from sfhub.training.run import is_under_way

SMALL = ClipTraining(
    steps=6,
    batch_size=8,
    held_out=12,
    vocabulary=200,
    embed_dim=16,
    image_size=32,
    image_width=4,
    text_width=16,
    text_heads=2,
    text_layers=1,
    save_every=3,
    log_every=3,
)


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    pytest.importorskip("open_clip")
    return SpokenPortraits(44, 32, 0, tmp_path_factory.mktemp("data"))


def test_a_text_is_true_of_all_pictures_that_meet_it():
    known = torch.zeros(3, len(STATEMENTS), dtype=torch.int8)
    known[0, :2], known[1, 0], known[2, 0] = TRUE, TRUE, UNCLEAR
    made = torch.zeros(3, len(STATEMENTS))
    made[0, 0] = made[1, 0] = made[1, 1] = 1
    expected = [[TRUE, TRUE, UNCLEAR], [TRUE, FALSE, FALSE], [TRUE, TRUE, TRUE]]
    assert matches(made, known).tolist() == expected


def test_the_loss_asks_nothing_about_unclear_pairs_and_shares_targets():
    seen = torch.eye(3)
    scale = torch.tensor(3.0)
    true = torch.tensor([[TRUE, FALSE, FALSE], [FALSE, TRUE, FALSE], [FALSE, FALSE, TRUE]], dtype=torch.int8)
    assert contrastive_loss(seen, seen, true, scale) < 1e-3
    assert contrastive_loss(seen.roll(1, 0), seen, true, scale) > 5
    unclear = true.masked_fill(true == FALSE, UNCLEAR)
    assert contrastive_loss(seen.roll(1, 0), seen, unclear, scale) == 0


def test_anchors_are_near_what_they_stand_for():
    known = torch.full((4, len(STATEMENTS)), FALSE, dtype=torch.int8)
    known[:2] = TRUE
    anchors = Anchors(8, known)
    made = torch.zeros(1, len(STATEMENTS))
    made[0, 3] = 1
    meant = torch.nn.functional.normalize(anchors.vectors[3:4], dim=1)
    assert anchors.texts(meant, made) < 1e-5
    assert anchors.texts(-meant, made) > 3.9
    assert torch.isfinite(anchors.pictures(meant, known[:1]))


class Killed(Exception):
    pass


def stopped_in_the_middle(renders, folder):
    """A training that is killed while it measures its last step."""

    def stop(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr("sfhub.training.clip.evaluate_clip", stop)
        train_clip(SMALL, renders, folder)
    assert is_under_way(folder)


def test_a_stopped_training_ends_as_one_that_was_not(renders, tmp_path):
    whole = train_clip(SMALL, renders, tmp_path / "whole").state_dict()
    stopped_in_the_middle(renders, tmp_path / "parts")
    again = train_clip(SMALL, renders, tmp_path / "parts").state_dict()
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    encoder = TextEncoder.open(tmp_path / "parts" / "clip")
    assert encoder.dim == 16 and encoder.size == 32
    assert json.loads((tmp_path / "parts" / "metrics.json").read_text())["statements"]


def test_a_checkpoint_of_other_settings_is_refused(renders, tmp_path):
    stopped_in_the_middle(renders, tmp_path)
    with pytest.raises(InputError, match="another learning_rate"):
        train_clip(replace(SMALL, learning_rate=1e-4), renders, tmp_path)


def test_every_second_portrait_has_rare_colours(renders):
    assert renders.attributes["background_red"].min() < 0.4
