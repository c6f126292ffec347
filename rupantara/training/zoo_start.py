"""How a worker builds the task of a VAE of the zoo."""

from dataclasses import dataclass

import torch

from rupantara.models import pretrained
from rupantara.models.zoo import ZooConfig
from rupantara.training.zoo import Objective
from rupantara.training.zoo_task import ZooTask

FEATURES = "squeezenet"
"""Network of the feature loss: the one trained on ImageNet among those whose hash the catalogue knows."""


@dataclass(frozen=True)
class ZooStart:
    """Builds the task on a worker; `weights` is the folder of the feature loss's network."""

    model: ZooConfig
    objective: Objective
    weights: str

    def __call__(self, device: torch.device) -> ZooTask:
        """Load the network of the feature loss, if there is one, and build the model."""
        found = pretrained.load_features(self.weights, FEATURES).to(device) if self.objective.gamma > 0 else None
        return ZooTask(self.model, self.objective, found.features if found else None, device)
