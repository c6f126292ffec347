"""One optimiser step of the VAEs of `003_…`, with the paper's equations on its scale [0, 1].

All four lower the same sum for each picture, with other weights (`OBJECTIVES`):

    alpha * SSE(x, x̂)  +  beta * KL(q(z|x) || N(0, I))  +  gamma * E(x, x̂)

SSE is the squared error summed over the picture's 12,288 numbers, KL the divergence in nats summed over the latent dimensions,
E the feature error (`losses.feature`) times 12,288. With alpha = 1 and beta = 1 the sum is minus the evidence lower bound of
a Gaussian likelihood of variance 1/2, up to a constant; only beta / (2 alpha), the variance of the pixels' noise over beta,
decides which latent dimensions are worth their nats.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rupantara.errors import MissingError
from rupantara.losses.feature import feature_error
from rupantara.losses.kl import kl_divergence
from rupantara.losses.perceptual import Features
from rupantara.models import zoo
from rupantara.models.zoo import VALUES, ZooVAE
from rupantara.precision import in_bfloat16
from rupantara.tensors import Images
from rupantara.training.schedule import cosine, warm_up
from rupantara.training.state import TrainState


@dataclass(frozen=True)
class ZooObjective:
    """Weights of the losses (0 = off) and settings of the optimiser; lengths are in images seen."""

    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 0.0
    learning_rate: float = 1e-3
    lr_warm_up_images: int = 1_000
    kl_warm_up_images: int = 10_000
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    bfloat16: bool = False


PLAIN_ALPHA, PLAIN_BETA = 1.8, 10.0
"""The paper's weights of the plain VAE (eq. 2). It does not say over what its MSE and its divergence are averaged. If both are sums, the
pixels' noise has a standard deviation of (10 / 3.6)^½ = 1.7 on pixels that span 1, hardly anything is worth encoding, and the paper's error
of 0.005 is out of reach. If the error is summed over pixels and the divergence averaged over the latent dimensions, as Keras notebooks
do (`K.mean`), the noise is 0.17: all 100 dimensions are used, and 0.005 is reached."""

OBJECTIVES = {
    # Eq. of 4.1: the evidence lower bound.
    "vanilla": ZooObjective(),
    # Eq. 1 with beta = 4, the least of Higgins et al.'s; the paper gives no number.
    "beta": ZooObjective(beta=4.0),
    # No error of pixels at all, as in Hou et al., 3.3; gamma brings E to the size that the others' SSE has.
    "dfc": ZooObjective(alpha=0.0, beta=1.0, gamma=0.03),
    "plain": ZooObjective(alpha=PLAIN_ALPHA, beta=PLAIN_BETA / zoo.CONFIGS["plain"].latent_dim),
}


def check(objective: ZooObjective, features: Features | None) -> None:
    """Raise MissingError when the feature loss has no network: it is never silently zero."""
    if objective.gamma > 0 and features is None:
        raise MissingError("the feature loss (gamma) needs its network, which was not given")


class ZooLosses(nn.Module):
    """The losses of one batch in one forward pass, which data-parallel training wraps."""

    def __init__(self, model: ZooVAE, objective: ZooObjective, features: Features | None = None) -> None:
        """Take the model to train; `features` is a frozen network's method."""
        super().__init__()
        check(objective, features)
        self.model, self._objective = model, objective
        # Hidden from the module, so that its `train()` does not reach the frozen network.
        self._features = (features,)

    def forward(self, images: Images, seen: int) -> dict[str, Tensor]:
        """Reconstruct from a draw of the posterior and compare; `loss` is the sum for each picture over VALUES."""
        objective, features = self._objective, self._features[0]
        made, posterior = self.model(images)
        # On [-1, 1] squares are four times those on [0, 1].
        mse = ((made - images) ** 2).mean() / 4
        kl = kl_divergence(posterior.mu, posterior.logvar).mean()
        beta = objective.beta * warm_up(seen, objective.kl_warm_up_images)
        parts = {"human_mse": mse, "kl_nats": kl}
        loss = objective.alpha * mse + beta * kl / VALUES
        if objective.gamma > 0 and features is not None:
            parts["feature_error"] = feature_error(features, made, images).mean()
            loss = loss + objective.gamma * parts["feature_error"]
        return {"loss": loss, **parts}


def start(model: ZooVAE) -> TrainState[ZooVAE]:
    """Start a training; without weight decay AdamW is the paper's Adam."""
    return TrainState.create(model, [{"params": list(model.parameters()), "weight_decay": 0.0}])


def flip(images: Images) -> Images:
    """Mirror each picture with probability 1/2 (`003_…`, 3.1)."""
    chosen = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def train_step(
    state: TrainState[ZooVAE],
    objective: ZooObjective,
    losses: Callable[[Images, int], dict[str, Tensor]],
    images: Images,
    total_images: int,
) -> dict[str, Tensor]:
    """Take one step and return the losses, detached, on their device."""
    state.model.train()
    rate = objective.learning_rate * cosine(state.seen, total_images, warm_up_images=objective.lr_warm_up_images)
    state.set_rate(rate)
    with in_bfloat16(images.device.type, objective.bfloat16):
        found = losses(flip(images), state.seen)
    norm = state.descend(found["loss"], clip=objective.gradient_clip, decay=objective.ema_decay, images=len(images))
    out = {name: value.detach() for name, value in found.items()}
    return out | {"gradient_norm": norm.detach(), "lr": torch.tensor(rate)}
