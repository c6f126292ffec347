"""How a training runs on Ray: describe it as a `TrainingRun` and call `train`. Loop, resuming, logs and publishing are here."""

from jobs.runtime.training.flags import TrainingFlags, recipe_settings
from jobs.runtime.training.run import Network, TrainingRun, train

__all__ = ["Network", "TrainingFlags", "TrainingRun", "recipe_settings", "train"]
