"""e4e and StyleGAN2 with seeded random weights in the published layouts: a photograph in, a picture out, time and memory.

    python -m benchmarks.stylegan2 --photo portrait.jpg [--size 1024] [--out picture.png]

The face is found and cut as FFHQ's are, encoded by e4e to W+, and decoded. Untrained, so the picture shows nothing of the face; what it
costs is what the published files cost. The second of two runs is timed, in fp32 and in bf16.
"""

import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import tyro

from rupantara.errors import UserError
from rupantara.faces.chips import ffhq_chip
from rupantara.faces.detector import YuNet
from rupantara.imaging import codec
from rupantara.models.codecs import e4e_stylegan2
from rupantara.storage import weights
from rupantara.tensors import to_images, to_pictures
from rupantara.types import Picture

Result = TypeVar("Result")


@dataclass(frozen=True)
class Config:
    """What is run."""

    photo: str
    """A photograph with a face."""
    size: int = 1024
    """Side of the picture that comes out, pixels."""
    out: str = ""
    """Where the picture goes, a PNG."""
    threads: int = 2
    seed: int = 0
    json: Path = Path("benchmarks/stylegan2.json")
    """Where the figures go."""


def aligned(photo: str) -> Picture:
    """Find the face of a photograph and cut it as FFHQ's are; UserError where there is none."""
    picture = codec.decode(Path(photo).read_bytes())
    found = YuNet(weights.load("", "yunet")).detect(picture, "human")
    if not found:
        raise UserError(f"--photo must show a face, none was found in {photo}")
    return ffhq_chip(picture, found[0].keypoints)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Do the work; return what it gives and the seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def peak_mib() -> int:
    """Return the largest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


@torch.inference_mode()
def main(config: Config) -> None:
    """Build the networks, run them in both precisions, write the picture and the figures."""
    torch.set_num_threads(config.threads)
    before = peak_mib()
    networks, built = timed(lambda: e4e_stylegan2.random(config.size, config.seed))
    parts = {"e4e": networks.encoder, "stylegan2": networks.generator}
    found: dict[str, object] = {
        "size": config.size,
        "tokens": [networks.layout.tokens, networks.layout.dim],
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()},
        "threads": config.threads,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "build_s": round(built, 1),
        "start_mib": before,
        "built_mib": peak_mib(),
    }
    for name, reduced in (("bf16", True), ("fp32", False)):
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            for _ in range(2):
                picture, times = run(networks, config.photo)
        found[name] = {stage: round(seconds, 2) for stage, seconds in times.items()} | {"peak_mib": peak_mib()}
        if config.out and not reduced:
            Path(config.out).write_bytes(codec.encode_png(picture))
    config.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


def run(networks: e4e_stylegan2.E4EStyleGAN2Codec, photo: str) -> tuple[Picture, dict[str, float]]:
    """Take a photograph through both networks; return the picture and the seconds of each stage."""
    times: dict[str, float] = {}
    chip, times["align_s"] = timed(lambda: aligned(photo))
    images, boxes = to_images(chip[None]), torch.zeros(1, 6, 4)
    tokens, times["encode_s"] = timed(lambda: networks.encode(images, boxes))
    made, times["decode_s"] = timed(lambda: networks.decode(tokens.float(), boxes))
    times["total_s"] = sum(times.values())
    return to_pictures(made.float())[0], times


if __name__ == "__main__":
    main(tyro.cli(Config))
