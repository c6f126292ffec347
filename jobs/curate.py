"""Photographs to faces: decode, detect, align, measure and split; every failure is a reject row with its reason.

    ray job submit --working-dir . -- python -m jobs.curate --photos s3://bucket/photos --weights s3://bucket/weights \
        --faces s3://bucket/faces
"""

import hashlib
import logging
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from jobs.runtime import cli, retry, table_run
from jobs.runtime.table_run import Reduced, TableRun
from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.faces.duplicates import REASON, reject_duplicates
from rupantara.faces.paths import DEFAULT_RULES
from rupantara.metrics import faces_table
from rupantara.reports import funnel
from rupantara.stages.curate import CuratePhotos, CurateRules, load_known_keypoints, shown_uri
from rupantara.storage import tables, weights
from rupantara.storage.listing import FOLDER, Listing
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("curate", version=2)
PART_BYTES = 128 * 2**20
log = logging.getLogger("jobs")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Curate photographs into a faces table."""

    OUTPUT: ClassVar[str] = "faces"

    photos: cli.Uri
    """Folder or s3:// prefix, listed recursively."""
    faces: cli.Uri
    """Output table."""
    weights: cli.Uri = ""
    """Folder or s3:// prefix of networks: yunet_n_dynamic.onnx and pfld.onnx (without it, only known keypoints are used), and
    mobilefacenet.npz (without it, people in animals' photographs are not looked for)."""
    keypoints: cli.Uri = ""
    """JSON of known keypoints; empty = every *keypoints.json in the photographs' folder or its parent."""
    extensions: tuple[str, ...] = photographs.EXTENSIONS
    """Endings, in any case, of names that count as photographs; others are only counted."""
    sniff: bool = False
    """Judge files of other names by their first bytes."""
    rules: tuple[str, ...] = DEFAULT_RULES
    """Regular expressions over the path; named groups: domain, species, identity, any attribute. The first found decides."""
    size: Annotated[int, cli.Range(32)] = 256
    """Side of the aligned crop in pixels."""
    max_pixels: int = CurateRules.max_pixels
    """Largest photograph that is decoded, width times height."""
    min_interocular_px: float = CurateRules.min_interocular_px
    """Smallest distance between the eyes in the photograph (reject: too_small)."""
    min_coverage: float = CurateRules.min_coverage
    """Smallest share of the crop that lies inside the photograph (reject: out_of_frame)."""
    min_sharpness: float = CurateRules.min_sharpness
    """Smallest sharpness (reject: blurred); see rupantara.imaging.quality."""
    min_brightness: float = CurateRules.min_brightness
    """Smallest mean luma, 0..255 (reject: too_dark)."""
    max_brightness: float = CurateRules.max_brightness
    """Largest mean luma, 0..255 (reject: too_bright)."""
    min_chroma: float = CurateRules.min_chroma
    """Smallest mean distance from grey in CIELAB (reject: monochrome)."""
    max_yaw: float = CurateRules.max_yaw
    """Largest turn of the head to a side in degrees (reject: turned_away)."""
    max_pitch: float = CurateRules.max_pitch
    """Largest tilt of the head up or down in degrees; humans with 68 points only (reject: tilted)."""
    max_roll: float = CurateRules.max_roll
    """Largest roll of the head in degrees (reject: rolled)."""
    max_expression: float = CurateRules.max_expression
    """Largest expression of the mouth, 0 neutral, 1 a plain smile or open mouth; 68 points only (reject: not_neutral)."""
    several_faces: Literal["subject", "all", "reject"] = "subject"
    """A photograph with several faces: keep its subject, keep each face that passes, or reject it (several_faces)."""
    people_among_animals: Literal["reject", "keep"] = "reject"
    """Faces of people in animals' photographs: drop them (reject, where no other is found: person), or keep them as animals'."""
    license: str = "unknown"
    """Licence of the photographs, kept with every row."""
    split_percent: tuple[int, int, int] = (80, 10, 10)
    """Shares of train, val and test, by the hash of the identity."""
    retry: tuple[str, ...] = ()
    """Run only the rejects of these reasons again, in a complete table, once their cause is mended (unreadable, truncated, …)."""
    part_photos: Annotated[int, cli.Range(1)] = 256
    """Most photographs in one part, the unit of work and of resuming."""


def default() -> Config:
    """Any folder of photographs."""
    return Config(photos=cli.REQUIRED, faces=cli.REQUIRED)


def strict() -> Config:
    """The paper's criteria (`001_…`, 5.2): frontal to 5 degrees, neutral, in colour, sharp and not cut off.

    Eyewear and headwear, which the paper also excludes, are not judged: no network for them is in the catalogue.
    """
    bounds: dict[str, Any] = {"max_yaw": 5.0, "max_pitch": 5.0, "max_roll": 5.0, "max_expression": 0.75}
    bounds |= {"min_chroma": 4.0, "min_sharpness": 0.04, "min_interocular_px": 32.0, "min_coverage": 0.5}
    return Config(photos=cli.REQUIRED, faces=cli.REQUIRED, preset="strict", several_faces="all", **bounds)


def curate_rules(config: Config, *, judge: bool) -> CurateRules:
    """Copy the row-deciding flags; `judge` says whether people are looked for among animals."""
    rules = CurateRules(**{f.name: getattr(config, f.name) for f in fields(CurateRules) if hasattr(config, f.name)})
    return replace(rules, people_among_animals="reject" if judge else "keep")


def networks(config: Config, *, animals: bool) -> list[str]:
    """Return the names of the networks that photographs are judged with, those of animals among them or not."""
    wanted = config.people_among_animals == "reject" and animals
    if wanted and not weights.has(config.weights, "mobilefacenet"):
        log.warning("people in animals' photographs are not looked for: that needs mobilefacenet.npz in --weights")
        wanted = False
    return ["yunet", "pfld", *(["mobilefacenet"] if wanted else [])]


def build(config: Config) -> tuple[TableRun, photographs.Found]:
    """List the photographs, cut into parts on the way, and describe the run."""
    if min(config.split_percent) < 0 or not sum(config.split_percent):
        raise UserError(f"--split-percent must not be all 0, got {config.split_percent}")
    found = photographs.find(
        config.photos, Listing(config.part_photos, PART_BYTES), config.extensions, config.rules, sniff=config.sniff
    )
    sidecars = photographs.sidecars(config.photos, config.keypoints)
    known: dict[str, np.ndarray] = {}
    for name, data in sidecars.items():
        known |= load_known_keypoints(data, name)
    names = networks(config, animals=found.animals) if config.weights else []
    models = {name: hashlib.sha256(weights.load(config.weights, name)).hexdigest() for name in names}
    inputs = {"photos": found.hash.hexdigest()}
    inputs["keypoints"] = hashlib.sha256(b"".join(sidecars[k] for k in sorted(sidecars))).hexdigest()
    settings = cli.row_config(config, "photos", "faces", "weights", "keypoints", "extensions", "sniff", "retry")
    # What a part holds must not change between a kill and the resuming.
    recipe = RECIPE.of(settings | {"part_bytes": PART_BYTES}, inputs, models)
    paths = [tables.part_path(recipe.fingerprint, i) for i in range(found.listing.parts)]

    def prepare() -> dict[str, Any]:
        found.listing.keep(config.faces, recipe.fingerprint)
        return {}

    run = TableRun(
        output=config.faces,
        schema="faces",
        recipe=recipe,
        plan=found.listing.plan(config.faces, recipe.fingerprint),
        make_stage=partial(
            CuratePhotos,
            config.photos,
            curate_rules(config, judge="mobilefacenet" in models),
            config.weights or None,
            known,
        ),
        measure=faces_table.measure,
        beside=(FOLDER,),
        prepare=prepare,
        reduce=lambda: Reduced(amended=reject_duplicates(config.faces, paths, recipe.fingerprint)),
        report=partial(funnel.write, config.faces),
        extra={**found.told(), "known_keypoints": len(known), "keypoint_files": sorted(sidecars)},
        told=f"{found.told()}, {len(known)} known keypoints",
    )
    return run, found


def main(config: Config) -> None:
    """Run the job."""
    if REASON in config.retry:
        raise UserError(f"--retry must name reasons that a later try can mend, got {REASON}")
    run, found = build(config)
    for line in (
        *found.lines(),
        f"{run.extra['known_keypoints']} known keypoints in {run.extra['keypoint_files'] or 'no file'}",
    ):
        log.info(line)
    if not config.weights and not run.extra["known_keypoints"]:
        log.warning("no face can be found: give --weights, or known keypoints")
    if not config.retry or config.dry_run:
        table_run.make(config, run)
        return
    again = retry.Again(config.retry, found.listing.rows(), partial(shown_uri, config.photos))
    funnel.write(config.faces, retry.run(config, run, again))


if __name__ == "__main__":
    cli.run(main, {"default": default(), "strict": strict()}, __doc__ or "")
