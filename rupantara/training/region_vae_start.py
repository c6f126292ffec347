"""How a worker builds the region VAE's task: networks of the losses, warm start from PCAs, or weights of a checkpoint to start from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.models import growing
from rupantara.models.region_vae import RegionVAEConfig, check_sizes
from rupantara.training import networks
from rupantara.training.estimate import estimate
from rupantara.training.region_vae import RegionVAEObjective
from rupantara.training.region_vae_task import RegionVAETask, blank_rows
from rupantara.training.warm_start import Pca


def checked(model: RegionVAEConfig, init: str) -> RegionVAEConfig:
    """Return the sizes; UserError for those that do not fit together, or do not fit the checkpoint `init` ("" = none)."""
    try:
        check_sizes(model)
    except ValueError as error:
        raise UserError(str(error)) from None
    if init and not growing.fits(loading.read_config(init), model):
        raise UserError(
            f"--init must be a checkpoint of the same sizes and species, or of half the size and stem, {init} is not"
        )
    return model


def decoder_of(init: str, species: tuple[str, ...], sizes: Mapping[str, Any], usual: object) -> RegionVAEConfig:
    """Return the sizes of the checkpoint whose decoder is trained on.

    UserError unless it is of this size and these species, and of the other sizes that differ from the `usual` ones. `region_context`
    may be new; a checkpoint that has it keeps it.
    """
    if not init:
        raise UserError("--decoder-only needs --init, the checkpoint whose decoder is trained on")
    found, size = loading.read_config(init), sizes["size"]
    if (found.size, found.species) != (size, species):
        raise UserError(
            f"--decoder-only needs an --init of {size} px and {', '.join(species)}, {init} is of {found.size} px and"
            f" {', '.join(found.species)}"
        )
    for name, value in sizes.items():
        if value == getattr(usual, name):
            continue
        if name == "region_context":
            found = replace(found, region_context=True)
        elif value != getattr(found, name):
            raise UserError(
                f"with --decoder-only, --{name.replace('_', '-')} is that of --init: {getattr(found, name)}"
            )
    return found


def init_sha256(init: str) -> dict[str, str]:
    """Return what the recipe says of the checkpoint that a training starts from ("" = none)."""
    return {"init": loading.model_sha256(init)} if init else {}


def content_of(model: RegionVAEConfig, kept: str) -> dict[str, Any]:
    """Return the content of config.json; `kept` is the checkpoint whose encoder is not trained ("" = none)."""
    return loading.config_dict(model, loading.codes_sha256(kept) if kept else "")


@dataclass(frozen=True)
class RegionVAEStart:
    """Builds the task on a worker; `init` is a checkpoint of the same sizes, or of half the size and stem ("" = none)."""

    model: RegionVAEConfig
    objective: RegionVAEObjective
    weights: str
    networks: tuple[str, ...]
    pca: tuple[Pca, list[Pca]] | None
    channels_last: bool | None
    compiled: bool
    init: str = ""

    def __call__(self, device: torch.device) -> RegionVAETask:
        """Load the networks of the losses and build the model."""
        found = networks.load(self.weights, self.networks, device)
        options = {"channels_last": self.channels_last, "compiled": self.compiled}
        task = RegionVAETask(self.model, self.objective, found, self.pca, device, **options)
        if self.init:
            weights = growing.grow(loading.load(self.init).model, self.model)
            for net in (task.state.model, task.state.average):
                net.load_state_dict(weights)
        return task

    def describe(self, batch: Mapping[str, int], steps: int, epochs: int) -> str:
        """Return the sizes and losses as JSON, and what `epochs` of `steps` cost on this machine's first device."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        sizes = json.dumps({"model": asdict(self.model), "objective": asdict(self.objective)}, indent=1)
        rows = {name: blank_rows(count, self.model.size, name) for name, count in batch.items()}
        return f"{sizes}\n{estimate(self(device), rows, steps, epochs, device)}"
