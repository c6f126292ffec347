"""The region VAE as a codec: its global code cut into tokens of a region's length, then the five regions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.landmarks.align import TEMPLATES
from rupantara.landmarks.regions import REGIONS
from rupantara.models.codecs.protocol import CodeLayout, Moments
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.tensors import Images, PartBoxes, Tokens

NAME = "region_vae"
JAW = ((0.214, 0.39), (0.225, 0.56), (0.245, 0.68), (0.29, 0.785), (0.37, 0.868), (0.44, 0.907), (0.51, 0.919))
"""The left half of a face's outline as fractions of the aligned crop, from the brow's height to the chin: the mean of 6,000 people's
landmarks (yaw below 15 degrees), made symmetric."""

HAIRLINE, FEATHER = 0.26, 0.03
"""Where the forehead ends, and the deviation of the blur at the face's edge, as fractions of the crop."""

STAYING = 1e-3
"""Weight by which codes that move neither face nor surroundings stay as they are, of the mean energy of a component."""


def layout_of(config: RegionVAEConfig) -> CodeLayout:
    """Return the layout; ValueError where the global code is no multiple of a region's."""
    if config.global_dim % config.region_dim:
        raise ValueError(f"global_dim must be a multiple of region_dim {config.region_dim}, got {config.global_dim}")
    whole = config.global_dim // config.region_dim
    groups = {"global": tuple(range(whole)), **{name: (whole + i,) for i, name in enumerate(REGIONS)}}
    return CodeLayout(NAME, whole + len(REGIONS), config.region_dim, groups)


def join(global_mu: Tensor, regions_mu: Tensor) -> Tensor:
    """Lay raw codes out as raw tokens: [batch, global_dim / region_dim + 5, region_dim]."""
    return torch.cat([global_mu.unflatten(1, (-1, regions_mu.shape[2])), regions_mu], dim=1)


class RegionVAECodec:
    """Tokens of a region VAE; human faces only."""

    keypoints: tuple[tuple[float, float], ...] = TEMPLATES["human"]

    def __init__(self, model: RegionVAE, moments: Moments, sha256: str = "", codes_sha256: str = "") -> None:
        """Take a trained network in evaluation mode, and the moments of its raw codes."""
        self.model, self.moments = model, moments
        self.sha256, self.codes_sha256 = sha256, codes_sha256 or sha256
        self.layout, self.side = layout_of(model.config), model.config.size
        self._whole = len(self.layout.groups["global"])
        self._taking = taking(model)

    def to(self, device: torch.device) -> "RegionVAECodec":
        """Move to a device."""
        self.model.to(device)
        self._taking = self._taking.to(device)
        return self

    def encode(self, images: Images, boxes: PartBoxes) -> Tokens:
        """Encode to the means of the codes, standardized."""
        found = self.model.encode(images, boxes, self._humans(images))
        return self.moments.standardize(join(found.global_mu, found.regions_mu))

    def decode(self, tokens: Tokens, boxes: PartBoxes) -> Images:
        """Decode as humans."""
        raw = self.moments.restore(tokens)
        whole = raw[:, : self._whole].flatten(1)
        return self.model.decode(whole, raw[:, self._whole :], boxes, self._humans(tokens))

    def surround(self, tokens: Tokens, place: Tokens) -> Tokens:
        """Take from `place` what the global code shows outside the face, and the ears and forehead, which hold the hair."""
        whole = tokens[:, : self._whole].flatten(1)
        other = place[:, : self._whole].flatten(1)
        deviation = self.moments.deviation[: self._whole].flatten().to(tokens)
        live = self.moments.live[: self._whole].flatten().to(tokens.device)
        raw_change = ((other - whole) * deviation) @ self._taking.to(tokens)
        whole = whole + torch.where(live, raw_change / deviation, 0.0)
        regions = tokens[:, self._whole :].clone()
        for name in ("ears", "forehead"):
            regions[:, REGIONS.index(name)] = place[:, self._whole + REGIONS.index(name)]
        return torch.cat([whole.unflatten(1, (self._whole, -1)), regions], dim=1)

    def _humans(self, like: Tensor) -> Tensor:
        return torch.zeros(len(like), dtype=torch.long, device=like.device)


def face_mask(side: int) -> Tensor:
    """Return a soft mask of the face in an aligned crop: [side, side], 1 inside."""
    jaw = torch.tensor(JAW)
    left = torch.cat([torch.tensor([[0.33, HAIRLINE], [0.25, 0.31]]), jaw])
    right = left.flip(0) * torch.tensor([-1.0, 1.0]) + torch.tensor([2 * JAW[-1][0], 0.0])
    outline = torch.cat([left, right])
    fine = 8 * side
    at = (torch.arange(fine) + 0.5) / fine
    y, x = torch.meshgrid(at, at, indexing="ij")
    inside = torch.zeros(fine, fine, dtype=torch.bool)
    for a, b in zip(outline, outline.roll(-1, 0), strict=True):  # Even-odd rule.
        crosses = (a[1] > y) != (b[1] > y)
        inside ^= crosses & (x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1] + 1e-12) + a[0])
    reach = torch.arange(-3 * fine // 25, 3 * fine // 25 + 1)
    taps = torch.exp(-0.5 * (reach / (FEATHER * fine)) ** 2)
    line = (taps / taps.sum()).view(1, 1, 1, -1)
    soft = F.conv2d(inside.float()[None, None], line, padding=(0, len(taps) // 2))
    soft = F.conv2d(soft, line.transpose(2, 3), padding=(len(taps) // 2, 0))
    return F.avg_pool2d(soft, 8)[0, 0]


@torch.no_grad()
def taking(model: RegionVAE) -> Tensor:
    """Return the matrix S [dim, dim] by which a global code takes another's surroundings: x + (other - x) S, raw codes as rows.

    The linear path's picture of the sum is, in least squares, `x`'s inside `face_mask` and `other`'s outside it; what moves
    neither stays as it is. A composite in the codes: the decoder then paints one picture, without a seam.
    """
    base = model.domain_nets()[0].base
    shown = (base.components * base.deviations[:, None]).double().cpu()
    inside = face_mask(model.config.base_side).flatten().repeat(3).double()
    face, around = (shown * inside**2) @ shown.T, (shown * (1 - inside) ** 2) @ shown.T
    staying = STAYING * float(face.diagonal().mean() + around.diagonal().mean()) * torch.eye(len(shown))
    found = torch.linalg.solve(face + around + staying, around).T
    out = torch.zeros(base.dim, base.dim)
    out[: base.rank, : base.rank] = found.float()
    return out
