"""Settings of SemanticStyleGAN trainings, presets, and what adaptation changes in them."""

from dataclasses import dataclass, field, replace

from sfhub.models.style_space import NoiseMode
from sfhub.portraits.classes import CLASSES
from sfhub.portraits.latents import LATENT_DIM, MAPPING_LAYERS, MAPPING_WIDTH

__all__ = ["PRESETS", "SemanticStyleGANTraining", "adaptation"]


@dataclass
class SemanticStyleGANTraining:
    """Settings of one training; the defaults are the paper's at 256 pixels.

    Attributes:
        resolution: side of the images in pixels.
        class_names, transparent_classes: of the masks, the background first; those that others show through.
        latent_dim: dimensions of Z and W.
        num_mapping_layers, mapping_width, mapping_lr_multiplier: of the mapping network; its depth, the width of its
            hidden layers (`latent_dim` if None) and its learning-rate multiplier.
        coarse_resolution, min_resolution, local_layers, base_layers, depth_layers, local_width, feature_width,
            channels: of the generator, see `SemanticStyleGANGenerator`.
        discriminator_channels: channels per resolution, of both branches.
        mask_resolution: side at which the discriminator sees masks.
        images: length of the training, in images shown to the discriminator.
        batch_size: images per step and process.
        learning_rate: of Adam, both networks; the discriminator's betas are (0, 0.99).
        final_learning_rate: what it falls to along a cosine; None keeps it.
        r1_gamma, r1_mask_gamma, r1_interval: weights of R1 on image and mask, and steps between evaluations.
        mask_weight: weight of mask regularisation (eq. 5).
        path_weight, path_interval: the same for path length, evaluated on half a batch; 0 switches it off.
        mixing_probability: how often a second latent takes over shapes and textures.
        noise: feed random noise to the render net.
        guidance: weight of the comparison with paired pictures, 0 for none; items then need a `code`.
        attribute_weight: with guidance and a parser, weight of what it reads beside the other comparisons.
        adversarial_weight: weight of the generator's adversarial loss.
        adversarial_from: with guidance, images after which the discriminator learns and counts.
        discriminator_interval: steps between updates of the discriminator; pairs guide the generator meanwhile.
        generator_momentum: first beta of the generator's Adam; comparing with pairs allows more than a game does.
        mapped_from: with guidance, images after which half of each batch comes from random latents.
        image_only: train without masks, for adaptation.
        freeze_shapes: keep mapping network, coordinates and everything that makes depths as they are.
        ema_images: half-life of the generator's moving average, at most a twentieth of the images so far.
        mirror: flip half of the pictures; not together with guidance, whose codes do not turn with them.
        seed: of everything random.
        save_images: images between checkpoints; `sample_images` between sample grids.
    """

    resolution: int = 256
    class_names: tuple[str, ...] = CLASSES
    transparent_classes: tuple[str, ...] = ("glasses", "earrings")
    latent_dim: int = 512
    num_mapping_layers: int = 8
    mapping_width: int | None = None
    mapping_lr_multiplier: float = 0.01
    coarse_resolution: int = 64
    min_resolution: int = 16
    local_layers: int = 10
    base_layers: int = 2
    depth_layers: int = 6
    local_width: int = 64
    feature_width: int = 512
    channels: dict[str, int] = field(default_factory=dict)
    discriminator_channels: dict[str, int] = field(default_factory=dict)
    mask_resolution: int = 256
    images: int = 4_800_000
    batch_size: int = 8
    learning_rate: float = 2e-3
    final_learning_rate: float | None = None
    r1_gamma: float = 10.0
    r1_mask_gamma: float = 1000.0
    r1_interval: int = 16
    mask_weight: float = 100.0
    path_weight: float = 0.5
    path_interval: int = 4
    mixing_probability: float = 0.3
    noise: bool = True
    guidance: float = 0.0
    attribute_weight: float = 0.3
    adversarial_weight: float = 1.0
    adversarial_from: int = 0
    discriminator_interval: int = 1
    generator_momentum: float = 0.0
    mapped_from: int = 0
    image_only: bool = False
    freeze_shapes: bool = False
    ema_images: int = 10_000
    mirror: bool = False
    seed: int = 0
    save_images: int = 4_000
    sample_images: int = 4_000

    @property
    def noise_mode(self) -> NoiseMode:
        """Noise of the generator while it trains."""
        return "random" if self.noise else "none"


_PORTRAITS = SemanticStyleGANTraining(
    resolution=128,
    latent_dim=LATENT_DIM,
    num_mapping_layers=MAPPING_LAYERS,
    mapping_width=MAPPING_WIDTH,
    mapping_lr_multiplier=1,
    coarse_resolution=32,
    min_resolution=16,
    local_layers=8,
    base_layers=3,
    depth_layers=6,
    local_width=32,
    feature_width=64,
    channels={"32": 64, "64": 32, "128": 24},
    # As in `sfhub.training.guided`, whose discriminator can judge here, too (`discriminator_from`).
    discriminator_channels={"4": 128, "8": 128, "16": 128, "32": 64, "64": 32, "128": 32},
    mask_resolution=64,
    images=40_000,
    batch_size=16,
    learning_rate=2.5e-3,
    final_learning_rate=2.5e-4,
    # What works for images of this size and networks this small, see `sfhub.training.stylegan2`.
    r1_gamma=0.2,
    r1_mask_gamma=2.0,
    mask_weight=10.0,
    path_weight=0.0,
    noise=False,
    guidance=1.0,
    adversarial_weight=0.2,
    adversarial_from=28_000,
    generator_momentum=0.9,
    mapped_from=1_000_000,
    ema_images=4_000,
)

PRESETS: dict[str, SemanticStyleGANTraining] = {
    # All but the last layers of the portraits generator, to see early whether it goes well.
    "portraits64": replace(_PORTRAITS, resolution=64, images=24_000, adversarial_from=24_001),
    # The shipped configuration; goes on from portraits64 (`--init-from`) or starts afresh.
    "portraits128": _PORTRAITS,
    # The paper's configuration, for CelebAMask-HQ.
    "celebamask256": SemanticStyleGANTraining(),
}


def adaptation(config: SemanticStyleGANTraining) -> SemanticStyleGANTraining:
    """Settings for fine-tuning a trained model on images without masks (sec. 5.3).

    The mask branch goes, guidance stops, and what makes shapes stays as it is, so that regions keep their places and
    local control; "hundreds of steps" are enough in the paper, a few thousand for a small network.
    """
    return replace(
        config,
        image_only=True,
        freeze_shapes=True,
        guidance=0.0,
        adversarial_weight=1.0,
        discriminator_interval=1,
        generator_momentum=0.0,
        images=6_000,
        learning_rate=1e-3,
        final_learning_rate=None,
        ema_images=2_000,
    )
