"""A training that has diverged stops: losses, gradients and weights that are not finite are an error, and are never saved."""

import math
from collections.abc import Mapping

from torch import Tensor

from rupantara.errors import NotFiniteError
from rupantara.storage.checkpoints import require_finite
from rupantara.training.state import TrainState

ADVICE = "a lower --learning-rate or --gradient-clip often helps"


def check_values(values: Mapping[str, Tensor | float], when: str) -> None:
    """Raise NotFiniteError for the first value that is NaN or infinite; `when` says where in the training it is."""
    for name, value in values.items():
        if not math.isfinite(float(value)):
            raise NotFiniteError(f"{name} must stay finite, got {float(value)} in {when}: {ADVICE}")


def check_weights(state: TrainState, when: str) -> None:
    """Raise NotFiniteError where a weight of the model, of its average or of the critic is not finite."""
    parts = {"weights": state.model, "averaged weights": state.average, "critic": state.critic}
    for name, part in parts.items():
        if part is not None:
            require_finite(f"{name} after {when}", part.state_dict())
