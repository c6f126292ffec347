"""How a worker builds the task of the animals' landmark network."""

from dataclasses import dataclass

import torch

from rupantara.models import squeezenet
from rupantara.storage import weights
from rupantara.training.animal_landmarks_task import AnimalLandmarksObjective, LandmarksTask


@dataclass(frozen=True)
class LandmarksStart:
    """Builds the task on a worker, from SqueezeNet's features: those of a folder, or those that ship."""

    objective: AnimalLandmarksObjective
    weights: str

    def __call__(self, device: torch.device) -> LandmarksTask:
        """Load SqueezeNet and build the task."""
        features = squeezenet.from_published(weights.arrays(self.weights, "squeezenet"))
        return LandmarksTask(self.objective, device, features)

    def describe(self) -> str:
        """Return what --dry-run prints."""
        return f"the animals' landmark network, {self.objective}"
