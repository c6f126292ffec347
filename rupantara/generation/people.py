"""Where people who do not exist come from: a flow prior, or the Gaussian that a region VAE was packed with."""

from dataclasses import dataclass, replace

from rupantara.errors import UserError
from rupantara.generation import flow_prior, loading, prior
from rupantara.generation.flow_prior import ANYONE, WantedPerson
from rupantara.generation.loading import LoadedRegionVAE


@dataclass(frozen=True)
class SampledPeople:
    """URIs of a region VAE and of a flow prior ("" = the one that the VAE's checkpoint carries, else its Gaussian), and who is drawn."""

    checkpoint: str
    prior: str = ""
    wanted: WantedPerson = ANYONE
    guidance: float = 1.0

    def sha256(self) -> dict[str, str]:
        """Return the SHA-256 of the prior, by its name.

        UserError where it draws another network's codes, where there is none, or where somebody is wanted of a Gaussian.
        """
        flow = self._flow()
        if not flow:
            return {"prior": prior.sha256(self.checkpoint)}
        return {"flow_prior": flow_prior.demand(flow, loading.codes_sha256(self.checkpoint))}

    def load(self) -> LoadedRegionVAE:
        """Load the region VAE with the prior."""
        loaded, flow = loading.load(self.checkpoint), self._flow()
        return (
            replace(loaded, prior=flow_prior.load(flow, loaded.codes_sha256, self.wanted, self.guidance))
            if flow
            else loaded
        )

    def _flow(self) -> str:
        flow = self.prior or flow_prior.beside(self.checkpoint)
        if self.wanted != ANYONE and not flow:
            raise UserError(
                f"people of an age, sex or group need --prior, a checkpoint of jobs.train_prior: {self.checkpoint} has a Gaussian"
            )
        return flow
