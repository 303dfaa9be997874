"""Names of clusters: merged, and not lost when a region is small."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.regions.naming import PORTRAIT_REGIONS, class_to_region, name_clusters, region_overlap


def test_overlap_counts_positions_in_both():
    clusters, regions = torch.tensor([[0, 0, 1]]), torch.tensor([[1, 1, 0]])
    assert region_overlap(clusters, regions, 3, 2).tolist() == [[0, 2], [1, 0], [0, 0]]


def test_clusters_of_one_region_are_merged():
    names, agreement = name_clusters(torch.tensor([[50.0, 0], [40, 0], [0, 9]]))
    assert names.tolist() == [0, 0, 1] and agreement == 1


def test_a_small_region_gets_the_cluster_around_it_although_most_of_that_cluster_is_skin():
    overlap = torch.tensor([[900.0, 0], [60, 40]])
    names, agreement = name_clusters(overlap)
    assert names.tolist() == [0, 1]
    assert agreement > 0.6


def test_a_region_that_never_occurs_gets_no_cluster_and_does_not_count():
    names, agreement = name_clusters(torch.tensor([[9.0, 0, 0], [0, 7, 0]]))
    assert names.tolist() == [0, 1] and agreement == 1


def test_every_class_of_the_portraits_belongs_to_a_region():
    classes = pytest.importorskip("sfhub.portraits.classes").CLASSES
    rows = class_to_region(classes, PORTRAIT_REGIONS)
    assert len(rows) == len(classes) and set(rows) == set(range(len(PORTRAIT_REGIONS)))


def test_a_class_without_a_region_is_refused():
    with pytest.raises(InputError, match="'scarf'"):
        class_to_region(["skin", "scarf"], PORTRAIT_REGIONS)
