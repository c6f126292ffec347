"""Where people who do not exist come from: the prior of a packed checkpoint, or a flow prior of its codes."""

from dataclasses import dataclass, replace

from rupantara.errors import UserError
from rupantara.generation import flow_prior, loading, prior
from rupantara.generation.flow_prior import ANYONE, WantedPerson
from rupantara.generation.loading import LoadedRegionVAE


@dataclass(frozen=True)
class SampledPeople:
    """URIs of a region VAE and of a flow prior ("" = the prior that the VAE was packed with), and who is drawn.

    UserError where someone is asked for and no flow prior is given: a Gaussian knows no ages.
    """

    checkpoint: str
    prior: str = ""
    wanted: WantedPerson = ANYONE

    def __post_init__(self) -> None:
        """Check that the prior can do what is asked."""
        if self.wanted != ANYONE and not self.prior:
            raise UserError(
                "people of an age, sex or group are drawn with --prior alone, a checkpoint of jobs.train_prior"
            )

    def sha256(self) -> dict[str, str]:
        """Return the SHA-256 of the prior, by its name; UserError where it draws another network's codes, or there is none."""
        if not self.prior:
            return {"prior": prior.sha256(self.checkpoint)}
        return {"flow_prior": flow_prior.demand(self.prior, loading.model_sha256(self.checkpoint))}

    def load(self) -> LoadedRegionVAE:
        """Load the region VAE with the prior."""
        loaded = loading.load(self.checkpoint)
        if not self.prior:
            return loaded
        return replace(loaded, prior=flow_prior.load(self.prior, loaded.sha256, self.wanted))
