"""Latent codecs: pictures -> tokens -> pictures, what blenders, samplers and edits see."""

from rupantara.models.codecs.protocol import LatentCodec, Layout, Moments

__all__ = ["LatentCodec", "Layout", "Moments"]
