"""How a worker builds the task of a VAE of the zoo."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch

from rupantara import precision
from rupantara.errors import UserError
from rupantara.generation import zoo_loading
from rupantara.losses.feature import SHALLOW
from rupantara.losses.perceptual import Features
from rupantara.models import pretrained, zoo
from rupantara.models.vgg16 import VGG16
from rupantara.models.zoo import ZooConfig, ZooVAE
from rupantara.models.zoo.vanilla import VanillaVAE
from rupantara.training import zoo_linear_start
from rupantara.training.zoo import OBJECTIVES, ZooObjective
from rupantara.training.zoo_linear_start import LinearFaces
from rupantara.training.zoo_task import ZooTask

OWN = -1.0
"""Weight of a loss that stands for the model's own."""


def objective_of(name: str, weights: Mapping[str, float], **settings: float | int | bool) -> ZooObjective:
    """Return a model's objective with the `weights` that are not OWN and the optimiser's settings."""
    given = {loss: weight for loss, weight in weights.items() if weight != OWN}
    if any(weight < 0 for weight in given.values()):
        raise UserError(f"weights of losses must not be negative (-1 = the model's own), got {given}")
    return replace(OBJECTIVES[name], **given, **settings)


def check_linear(model: ZooConfig, init: str, alpha: float, beta: float, faces: int) -> None:
    """Raise UserError unless weights can start as a PCA: vanilla, no `init`, both weights above 0, more faces than dimensions."""
    if model.name != "vanilla":
        raise UserError(f"--linear is for vanilla, whose layers carry a linear map, got {model.name}")
    if init:
        raise UserError(f"give either --linear or --init, where the weights start, got --init {init} as well")
    if not (alpha > 0 and beta > 0):
        raise UserError(f"--linear needs --alpha and --beta above 0, got {alpha:g} and {beta:g}")
    if faces <= model.latent_dim:
        raise UserError(f"--linear needs more faces than the {model.latent_dim} latent dimensions, got {faces}")


def check_init(model: ZooConfig, init: str) -> None:
    """Raise UserError where the weights of the checkpoint `init` do not fit `model`: other layers, channels or latent dimensions."""
    found = zoo_loading.read_config(init)
    alike = ({model.name, found.name} <= {"plain", "dfc"}) or model.name == found.name
    if not alike or (found.latent_dim, found.channels) != (model.latent_dim, model.channels):
        raise UserError(
            f"--init must be a checkpoint of {model.name}, or of plain for dfc and the other way round, {init} is of {found.name}"
        )


@dataclass(frozen=True)
class ZooStart:
    """Builds the task on a worker; `weights` is the folder of the feature loss's network, `network` its name.

    It starts from the checkpoint `init` or, a vanilla VAE, from `linear`, else from random weights.
    """

    model: ZooConfig
    objective: ZooObjective
    weights: str
    network: str = "squeezenet"
    init: str = ""
    linear: LinearFaces | None = None

    def __call__(self, device: torch.device) -> ZooTask:
        """Load the network of the feature loss, if there is one, and build the model."""
        task = ZooTask(self.model, self.objective, self._features(device) if self.objective.gamma > 0 else None, device)
        if begun := self._begun():
            for net in (task.state.model, task.state.average):
                net.load_state_dict(begun.state_dict())
        return task

    def _begun(self) -> ZooVAE | None:
        if self.init:
            return zoo_loading.load(self.init).model
        if self.linear is None:
            return None
        model = zoo.build(self.model)
        assert isinstance(model, VanillaVAE)
        zoo_linear_start.begin(model, self.linear)
        return model

    def _features(self, device: torch.device) -> Features:
        found = pretrained.load_features(self.weights, self.network).to(device)
        if self.objective.bfloat16 and precision.is_fast(device.type):
            # Cast once, not in every step.
            found = found.to(torch.bfloat16)
        # What lies deeper than the depths compared is not computed.
        return partial(found.features, depths=len(SHALLOW)) if isinstance(found, VGG16) else found.features
