"""Settings of StyleFusion trainings, presets, and the paper's ablations."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sfhub.errors import InputError

__all__ = ["ABLATIONS", "FREE_SETTINGS", "GUIDE", "PRESETS", "RELEVANCES", "STAGES", "FusionTraining", "check_settings"]

STAGES = ("align", "fuse", "joint")
RELEVANCES = {"activation": "contribution", "influence": "influence", "query": "default_queries"}
"""What `FusionTraining.relevance` may be, besides `guide`: the catalog's buffer by name."""

GUIDE = "guide"

FREE_SETTINGS = ("log_steps", "save_steps")
"""Settings that a training may change when it goes on."""

PerStage = tuple[float, float, float]


@dataclass(frozen=True)
class FusionTraining:
    """Settings of one training. The paper gives no values: they are in a supplement that we do not have.

    Attributes:
        width, hidden_widths, common_layers, encoding_repeats: of the networks, see `FusionNet`; the width of the widest
            style layer if None.
        initial_alignment: coefficient of the align blenders before training. Random ones start half-way to the layout,
            which the losses then have to undo.
        stage_steps: length of the three stages for each level of the tree; 0 leaves one out.
        mask_weight, local_weight, align_weight, fusion_weight: lambda of equation 9 in each of the three stages. Only
            the last counts in the second, which makes no image and leaves the align blender alone. The paper's third
            stage has no mask loss. On the portraits at the root, an align weight of 0.5 shut the align blender for good
            and one of 0.01 let it pull everything to the layout code.
        layout_weight: of a term that the paper does not have: the align coefficient close to the layout query
            (`sfhub.regions.attribute_query`), for portraits only, whose parser sees attributes. The masks cannot tell
            the pose of a head from the shape of its hair.
        contrastive_weight: of a term that the paper does not have: each region of the result close to its source's
            in the generator's features and far from the other sources'.
        mask_decay: factor on the mask loss from one level of the tree to the next. The root aligns the pose of all that
            is below it; the masks of smaller regions are mostly shapes, which should come from their source.
        epsilon: perturbation strength of equation 4; 1 is an exchange of the whole code.
        relevance: where the channels' weights come from: `activation` (the paper's M), `influence` or `query` (the
            measured default queries) of the catalog; `guide` for claims that are settled among all regions when the
            training starts (`sfhub.regions.channel_owners`), so that none has what belongs to another one, or to the
            layout if that is known (`layout_weight`).
        guide_steps: gradient steps on the claims.
        base_probability: share of samples in which one code serves as layout and as one of the two sources, as when
            a region of an image is replaced; in the others all are independent.
        batch_size: samples per step and process where images are made; three images each.
        code_batch_size: the same where none are made: in the second stage, and in the first without the mask loss.
        learning_rate: of Adam with betas (0, 0.99) in each of the three stages, falling to a tenth over the stage. The
            parameters of a blender are about 100 in size, so that 1 is as cautious as 0.01 elsewhere.
        truncation_psi: of all codes.
        resolution: side of the images that the losses see, the generator's skip image of that size; full size if None.
        mask_temperature: see `sfhub.regions.soft.soft_clusters`; without effect when a parser makes the masks.
        contrastive_temperature: see `contrastive_loss`.
        seed: of everything random.
        log_steps, save_steps: steps between log records, and between checkpoints with a strip of samples.
    """

    width: int | None = None
    hidden_widths: tuple[int, ...] | None = None
    common_layers: int | None = 5
    encoding_repeats: int = 10
    initial_alignment: float = 0.1
    stage_steps: tuple[int, int, int] = (1_000, 2_000, 2_000)
    mask_weight: PerStage = (1.0, 0.0, 0.0)
    local_weight: PerStage = (0.0, 0.0, 2.0)
    align_weight: PerStage = (0.1, 0.0, 0.2)
    fusion_weight: PerStage = (0.2, 1.0, 1.0)
    layout_weight: PerStage = (0.0, 0.0, 0.0)
    contrastive_weight: PerStage = (0.0, 0.0, 0.0)
    mask_decay: float = 1.0
    epsilon: float = 0.5
    relevance: str = "influence"
    guide_steps: int = 150
    base_probability: float = 0.0
    batch_size: int = 8
    code_batch_size: int = 64
    learning_rate: PerStage = (1.0, 1.0, 0.3)
    truncation_psi: float = 0.7
    resolution: int | None = None
    mask_temperature: float = 0.05
    contrastive_temperature: float = 0.1
    seed: int = 0
    log_steps: int = 20
    save_steps: int = 100


PRESETS: dict[str, FusionTraining] = {
    "default": FusionTraining(),
    # The shipped portraits: small networks, losses at half the resolution. The third stage is short and gentle: after
    # 300 steps with a localization weight of 2 the skin transferred 47%, without the stage 65%, at no worse a leak.
    "portraits": FusionTraining(
        hidden_widths=(256, 256),
        relevance=GUIDE,
        mask_weight=(0.0, 0.0, 0.0),
        local_weight=(0.0, 0.0, 0.2),
        align_weight=(0.0, 0.0, 0.0),
        layout_weight=(1.0, 0.0, 1.0),
        stage_steps=(200, 500, 100),
        learning_rate=(2.0, 2.0, 0.5),
        mask_decay=0.25,
        base_probability=0.5,
        resolution=64,
    ),
}


def _without_stage(index: int) -> Callable[[FusionTraining], FusionTraining]:
    def apply(config: FusionTraining) -> FusionTraining:
        steps = list(config.stage_steps)
        steps[index] = 0
        return replace(config, stage_steps=tuple(steps))

    return apply


def _end_to_end(config: FusionTraining) -> FusionTraining:
    """One stage of the same total length with all losses, each as strong as where it is strongest."""
    weights = {
        name: (0.0, 0.0, max(getattr(config, name)))
        for name in ("mask_weight", "local_weight", "align_weight", "fusion_weight", "contrastive_weight")
    }
    return replace(config, stage_steps=(0, 0, sum(config.stage_steps)), **weights)


def _no_global(config: FusionTraining) -> FusionTraining:
    """No layer heeds the layout code, so there is nothing to align."""
    return replace(_without_stage(0)(config), common_layers=0)


ABLATIONS: dict[str, Callable[[FusionTraining], FusionTraining]] = {
    "no-global": _no_global,
    "no-stage-1": _without_stage(0),
    "no-stage-2": _without_stage(1),
    "no-stage-3": _without_stage(2),
    "end-to-end": _end_to_end,
}
"""The paper's five ablations (section 7): settings -> settings without that part."""


def check_settings(config: FusionTraining) -> None:
    """Refuse settings that make no sense.

    Raises:
        InputError: for an unknown relevance, stages without a step, or an initial alignment that is none.
    """
    known = [*RELEVANCES, GUIDE]
    if config.relevance not in known:
        raise InputError(f"There is no relevance {config.relevance!r}; choose one of {', '.join(known)}.")
    if min(config.stage_steps) < 0 or sum(config.stage_steps) < 1:
        raise InputError(f"Stages of {config.stage_steps} steps train nothing; give at least one stage a step.")
    if not 0 < config.initial_alignment < 1:
        raise InputError(f"An initial alignment of {config.initial_alignment} is none; it lies between 0 and 1.")
