"""An edit kept to regions: those get the edited code and everything else the original one.

StyleFusion (Kafri et al., TOG 2022, section 6.1 and fig. 13): the leaves of the chosen nodes take the edited code, all
other leaves the original. *Inner nodes keep the original code*: theirs says where the regions lie (the layout), so what
an edit does to the pose or to the place of a feature stays out, as where fig. 13 gives "fearful eyes" to the network of
the eyes. Editing in Style: the displacement is weighed per channel by the query of the region. SemanticStyleGAN (Shi et
al., CVPR 2022, figs. 9 and 10): the shape and texture codes of the chosen classes move and no others.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sfhub.editing.arrangement import join_code, split_code
from sfhub.editing.semantic import code_places, exchange
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator

__all__ = ["constrain_by_classes", "constrain_by_fusion", "constrain_by_queries"]


def constrain_by_fusion(hierarchy: FusionHierarchy, base: Tensor, edited: Tensor, nodes: Sequence[str]) -> Tensor:
    """The code `[B, S]` whose `nodes` look as in `edited` and everything else, layout included, as in `base`.

    Raises:
        InputError: for a node that is not in the tree, or codes of another generator.
    """
    tree = hierarchy.tree
    tree.check(nodes, "region")
    chosen = {below for node in nodes for below in tree.subtree(node)}
    # A node without a network stands for all that is below it.
    ends = [node for node in hierarchy.active_nodes if node not in hierarchy.nets]
    return hierarchy(tree.spread({tree.root: base}) | {node: edited for node in ends if node in chosen})


def constrain_by_queries(base: Tensor, edited: Tensor, queries: Sequence[Tensor]) -> Tensor:
    """The code `[B, S]` that moves from `base` to `edited` as far as the queries `[S]` of the regions say."""
    weight = torch.stack(list(queries)).sum(dim=0).clamp(max=1)
    return torch.lerp(base, edited, weight.to(base))


def constrain_by_classes(
    generator: SemanticStyleGANGenerator, base: Tensor, edited: Tensor, classes: Sequence[int]
) -> Tensor:
    """The code `[1, S]` with shape and texture of `classes` from `edited`; base codes and what was composed stay."""
    (w_plus, arrangement), (moved, _) = split_code(generator, base), split_code(generator, edited)
    mixed = exchange(w_plus, [(moved, code_places(generator, classes), 1.0)])
    return join_code(mixed, arrangement, always=base.shape[1] > w_plus[0].numel())
