"""Region features look at their region alone, in any batch, and name what is drawn."""

import numpy as np
import pytest
import torch

from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.features.region_features import RECIPES, RegionFeatures, by_region, part_crops
from rupantara.landmarks.region_crop import region_crop
from rupantara.landmarks.regions import CANONICAL, REGIONS
from tests.conftest import WEIGHTS

needs_network = pytest.mark.skipif(not WEIGHTS.exists(), reason="needs SqueezeNet")


def _faces(pictures: list[np.ndarray]) -> FaceBatch:
    boxes = np.stack([np.array(CANONICAL["animal"], np.float32)] * len(pictures))
    return FaceBatch(
        pictures, np.zeros((len(pictures), 5, 2)), boxes, ["animal"] * len(pictures), [None] * len(pictures)
    )


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (128, 128, 3), np.uint8)


def test_a_crop_is_the_square_about_the_box() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    crop = region_crop(ramp, (0.2, 0.4, 0.6, 0.5), 1.0, 40)
    # As wide as the box, 20 to 60, and as high, about its middle; a pixel of it is a pixel of the picture.
    np.testing.assert_array_equal(crop[0, :, 0], np.arange(20, 60))
    wide = region_crop(ramp, (0.2, 0.4, 0.6, 0.5), 2.0, 40)
    assert abs(int(wide[0, 0, 0]) - 0.5) <= 1 and abs(int(wide[0, -1, 0]) - 78.5) <= 1


def test_the_right_ear_is_mirrored_and_ears_are_the_mean_of_both() -> None:
    boxes = np.array(CANONICAL["human"], np.float32)
    picture = _noise(0)
    picture = np.concatenate([picture[:, :64], picture[:, :64][:, ::-1]], axis=1)
    crops = part_crops(picture, boxes, RECIPES["squeezenet"])
    assert np.abs(crops[3].astype(int) - crops[4]).mean() < 2
    parts = torch.arange(6.0).view(1, 6, 1)
    assert by_region(parts).flatten().tolist() == [0, 1, 2, 3.5, 5]


@needs_network
def test_features_see_their_region_alone_and_do_not_hang_on_the_batch() -> None:
    network = RegionFeatures(Spec("region_features"), ExtractorNetworks("", str(WEIGHTS)))
    first, other = _noise(1), _noise(1)
    x0, y0, x1, y1 = (int(128 * v) for v in CANONICAL["animal"][2])
    other[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = 0
    with torch.inference_mode():
        one, two = network(_faces([first, other]))[0]
        alone = network(_faces([other]))[0][0]
    changed = [not np.allclose(one[r], two[r], atol=1e-3) for r in range(len(REGIONS))]
    assert changed[REGIONS.index("mouth")] and not changed[REGIONS.index("ears")] and not changed[REGIONS.index("eyes")]
    np.testing.assert_allclose(alone, two, rtol=1e-4, atol=1e-3)
    assert network.columns[0].type.list_size == 5 * 384
