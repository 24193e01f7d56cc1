"""Detectors and masks on a CUDA device: the same as on the processor."""

import numpy as np
import pytest

from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.detection import make_segmenter
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline_tests.stages.detection.test_masks import tiny_sam
from clustering_pipeline_tests.stages.detection.test_neural import BUILDERS, PROMPTS, tiny_detector
from clustering_pipeline_tests.stages.detection.test_stage import busy

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def context_on(tmp_path, device):
    storage = BlobStore(str(tmp_path / "blobs")), FeatureTables(str(tmp_path / "features"))
    return StageContext(*storage, tmp_path, hardware=Hardware(device=device))


@pytest.mark.parametrize("name", BUILDERS)
def test_the_device_does_not_change_what_is_found(name, tmp_path):
    detector, scores = tiny_detector(name, tmp_path), []
    for device in ("cpu", "cuda"):
        detector.load(context_on(tmp_path, device))
        (found,) = detector.detect([busy()], PROMPTS)
        scores.append(np.sort(found.scores)[::-1][:5])
    np.testing.assert_allclose(*scores, atol=1e-2)


def test_the_device_does_not_change_the_mask(tmp_path):
    segmenter, masks = (
        make_segmenter(CropSettings(mask="sam", mask_model=str(tiny_sam(tmp_path / "sam")))),
        [],
    )
    for device in ("cpu", "cuda"):
        segmenter.load(context_on(tmp_path, device))
        masks.append(segmenter.masks(busy(), [(0, 0, 100, 120)])[0])
    assert (masks[0] == masks[1]).mean() > 0.99
