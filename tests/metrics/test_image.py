"""Image metrics against scikit-image, and the law of merging."""

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from rupantara.metrics.image import ImageStats, image_errors, masked_psnr


def pair(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(n, 3, 32, 32, generator=generator) * 2 - 1
    return (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(-1, 1), a


def test_psnr_and_ssim_are_those_of_scikit_image():
    outputs, sources = pair(3)
    errors = image_errors(outputs, sources)
    for i in range(3):
        a, b = ((x[i].permute(1, 2, 0).numpy().astype(np.float64) + 1) / 2 for x in (outputs, sources))
        np.testing.assert_allclose(float(errors["psnr"][i]), peak_signal_noise_ratio(b, a, data_range=1.0), rtol=1e-5)
        expected = structural_similarity(
            b, a, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        np.testing.assert_allclose(float(errors["ssim"][i]), expected, atol=2e-3)


def test_merged_batches_equal_one_batch_in_any_grouping():
    outputs, sources = pair(6)
    whole = ImageStats.update(outputs, sources).compute()
    parts = [ImageStats.update(outputs[i : i + 2], sources[i : i + 2]) for i in (0, 2, 4)]
    left = parts[0].merge(parts[1]).merge(parts[2]).compute()
    right = parts[0].merge(parts[1].merge(parts[2])).compute()
    for name, value in whole.items():
        np.testing.assert_allclose([left[name], right[name]], value, rtol=1e-6)


def test_a_masked_psnr_sees_nothing_outside_its_mask() -> None:
    source = torch.zeros(2, 3, 4, 4)
    made, masks = source.clone(), torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[:, :2] = 255
    made[0, :, :2] = 0.2
    made[1, :, 2:] = 1.0
    # 0.2 on [-1, 1] is 0.1 on [0, 1]: 20 dB.
    torch.testing.assert_close(
        masked_psnr(made, source, masks), torch.tensor([20.0, 100.0]).double(), atol=1e-4, rtol=0
    )
