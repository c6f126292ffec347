"""Latent codecs: pictures -> tokens -> pictures, what blenders, samplers and edits see."""

from rupantara.models.codecs.protocol import CodeLayout, LatentCodec, Moments

__all__ = ["CodeLayout", "LatentCodec", "Moments"]
