"""e4e and StyleGAN2 with seeded random weights in the published layouts: a photograph in, a picture out, time and memory.

    python -m benchmarks.stylegan2 [--photo face.jpg] [--size 1024] [--out picture.png]

Untrained, so the picture shows nothing; what it costs is what the published files cost.
"""

import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from rupantara.imaging import codec
from rupantara.models.codecs import e4e_stylegan2
from rupantara.synthetic import draw_face
from rupantara.tensors import to_images, to_pictures


@dataclass(frozen=True)
class Config:
    """What is run."""

    photo: str = ""
    """A face aligned as FFHQ's (a drawn one without)."""
    size: int = 1024
    out: str = ""
    """Where the picture goes."""
    threads: int = 2
    bfloat16: bool = True
    seed: int = 0


@torch.inference_mode()
def main(config: Config) -> None:
    """Encode and decode once to warm up, once to measure."""
    torch.set_num_threads(config.threads)
    started = time.perf_counter()
    networks = e4e_stylegan2.random(config.size, config.seed)
    built = time.perf_counter() - started
    networks_by_name = {"e4e": networks.encoder, "stylegan2": networks.generator}
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in networks_by_name.items()}
    face = codec.decode(Path(config.photo).read_bytes()) if config.photo else draw_face("human", 1, size=256).image
    images, boxes = to_images(codec.resize(face, 256)[None]), torch.zeros(1, 6, 4)
    times: dict[str, float] = {}
    with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
        for _ in range(2):
            started = time.perf_counter()
            tokens = networks.encode(images, boxes)
            times["encode_s"] = time.perf_counter() - started
            started = time.perf_counter()
            made = networks.decode(tokens.float(), boxes)
            times["decode_s"] = time.perf_counter() - started
    picture = to_pictures(made)[0]
    if config.out:
        Path(config.out).write_bytes(codec.encode_png(picture))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "size": list(picture.shape),
                "tokens": list(tokens.shape[1:]),
                "parameters": counts,
                "build_s": round(built, 1),
                **{k: round(v, 2) for k, v in times.items()},
                "peak_mib": round(peak),
                "threads": config.threads,
            }
        )
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
