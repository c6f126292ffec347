"""The four VAEs of `003_…` at 64 x 64, one a file, behind one protocol."""

from collections.abc import Callable

from rupantara.models.zoo import beta, dfc, plain, vanilla
from rupantara.models.zoo.protocol import SIDE, VALUES, Codes, Posterior, ZooConfig, ZooVAE

CLASSES: dict[str, Callable[[ZooConfig], ZooVAE]] = {
    "vanilla": vanilla.VanillaVAE,
    "beta": beta.BetaVAE,
    "dfc": dfc.DFCVAE,
    "plain": plain.PlainVAE,
}
CONFIGS = {config.name: config for config in (vanilla.CONFIG, beta.CONFIG, dfc.CONFIG, plain.CONFIG)}
NAMES = tuple(CONFIGS)


def build(config: ZooConfig) -> ZooVAE:
    """Build the network that a config names, with random weights; KeyError for a name that is none of the zoo's."""
    return CLASSES[config.name](config)


__all__ = ["CONFIGS", "NAMES", "SIDE", "VALUES", "Codes", "Posterior", "ZooConfig", "ZooVAE", "build"]
