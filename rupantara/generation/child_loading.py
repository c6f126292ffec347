"""Networks of children out of their checkpoints, with the codec whose codes they blend."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from rupantara.errors import UserError
from rupantara.generation import codecs
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.codecs import LatentCodec
from rupantara.storage import checkpoints

MODEL_TYPE = "blender"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""


@dataclass(frozen=True)
class LoadedBlender:
    """A network of children ready to run on the CPU, its codec, and the SHA-256 of its weights."""

    net: ChildNet
    codec: LatentCodec
    sha256: str


def config_dict(config: ChildNetConfig, codec: str, codec_sha256: str) -> dict[str, Any]:
    """Return the content of config.json."""
    return {"model_type": MODEL_TYPE, "codec": codec, "codec_sha256": codec_sha256, "net": asdict(config)}


def load(uri: str, codec_uri: str) -> LoadedBlender:
    """Load a complete checkpoint and the codec that its codes are of; UserError where it is another."""
    demand(uri, MODEL_TYPE, codec_uri)
    raw = checkpoints.read_config(uri, MODEL_TYPE)
    known = {f.name for f in fields(ChildNetConfig)}
    config = checkpoints.parse(uri, lambda: ChildNetConfig(**{k: v for k, v in raw["net"].items() if k in known}))
    net, sha256 = checkpoints.restore(uri, MODEL_TYPE, lambda: ChildNet(config))
    return LoadedBlender(net, codecs.load(codec_uri, net.moments), sha256)


def demand(uri: str, model_type: str, codec_uri: str) -> None:
    """Raise UserError where a checkpoint, a blender's or of edits, is of other codes than a codec's; no weights are read."""
    raw, name, found = (
        checkpoints.read_config(uri, model_type),
        codecs.name_of(codec_uri),
        codecs.codes_sha256(codec_uri),
    )
    if (raw.get("codec"), raw.get("codec_sha256")) != (name, found):
        raise UserError(
            f"{uri} must be trained on codes of {codec_uri}, {name} {found[:12]}, got {raw.get('codec')}"
            f" {str(raw.get('codec_sha256'))[:12]}"
        )


def untrained(kind: str, codec: LatentCodec) -> LoadedBlender:
    """Return a blender that nobody trained, without a refiner: the average or the product of a codec's codes."""
    layout = codec.layout
    config = ChildNetConfig(kind, layout.tokens, layout.dim, refined=False, spread=1)  # ty: ignore[invalid-argument-type]
    net = ChildNet(config).eval().requires_grad_(False)
    net.mean.copy_(codec.moments.mean)
    net.deviation.copy_(codec.moments.deviation)
    return LoadedBlender(net, codec, f"untrained-{kind}")
