"""Photographs to faces: decode, detect, align, measure and split; every failure is a reject row with its reason.

    ray job submit --working-dir . -- python -m jobs.curate --photos s3://bucket/photos --weights s3://bucket/weights \
        --faces s3://bucket/faces
"""

import logging
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from jobs.runtime import cli, retry, table_run
from jobs.runtime.table_run import Reduced, TableRun
from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.faces.bounds import STRICT, Bounds
from rupantara.faces.duplicates import REASON, reject_duplicates
from rupantara.faces.finder import networks_of
from rupantara.faces.paths import DEFAULT_RULES
from rupantara.metrics import faces_table
from rupantara.reports import funnel
from rupantara.stages.curate import CuratePhotos, CurateRules, shown_uri
from rupantara.storage import tables, weights
from rupantara.storage.listing import FOLDER, Listing
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("curate", version=4)
PART_BYTES = 128 * 2**20
log = logging.getLogger("jobs")


@dataclass(frozen=True, kw_only=True)
class Config(Bounds, cli.Common):
    """Curate photographs into a faces table."""

    OUTPUT: ClassVar[str] = "faces"

    photos: cli.Uri
    """Folder or s3:// prefix, listed recursively."""
    faces: cli.Uri
    """Output table."""
    weights: cli.Uri = ""
    """Folder or s3:// prefix of networks that take the place of those that ship: yunet_n_dynamic.onnx, pfld.onnx (68 points, in place
    of face_landmark_68), mobilefacenet.npz (judges people among animals, in place of face_recognition), animal_landmarks.safetensors."""
    keypoints: cli.Uri = ""
    """JSON of known keypoints: lists of 3, 5 or 68, or an animal's six by name; empty = every *keypoints.json in the photographs' folder
    or its parent."""
    extensions: tuple[str, ...] = photographs.EXTENSIONS
    """Endings, in any case, of names that count as photographs; others are only counted."""
    sniff: bool = False
    """Judge files of other names by their first bytes."""
    rules: tuple[str, ...] = DEFAULT_RULES
    """Regular expressions over the path; named groups: domain, species, identity, any attribute. The first found decides."""
    size: Annotated[int, cli.Range(32)] = 256
    """Side of the aligned crop in pixels."""
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


def presets() -> dict[str, Config]:
    """Return the named configs: any folder of photographs; strict, the paper's criteria (`faces.bounds.STRICT`)."""
    default = Config(photos=cli.REQUIRED, faces=cli.REQUIRED)
    strict: dict[str, Any] = {"preset": "strict", "several_faces": "all", **STRICT}
    return {"default": default, "strict": replace(default, **strict)}


def curate_rules(config: Config) -> CurateRules:
    """Copy the row-deciding flags."""
    return CurateRules(**{f.name: getattr(config, f.name) for f in fields(CurateRules) if hasattr(config, f.name)})


def build(config: Config) -> tuple[TableRun, photographs.Found]:
    """List the photographs, cut into parts on the way, and describe the run."""
    if min(config.split_percent) < 0 or not sum(config.split_percent):
        raise UserError(f"--split-percent must not be all 0, got {config.split_percent}")
    found = photographs.find(
        config.photos, Listing(config.part_photos, PART_BYTES), config.extensions, config.rules, sniff=config.sniff
    )
    sidecars = photographs.sidecars(config.photos, config.keypoints)
    known = photographs.match(config.photos, sidecars, found.listing)
    judged = config.people_among_animals == "reject"
    used = networks_of(config.weights, people=found.people, animals=found.animals, judge_people=judged)
    models = {name: weights.sha256(config.weights, name) for name in used}
    inputs = {"photos": found.hash.hexdigest()}
    inputs["keypoints"] = photographs.hash_of(sidecars)
    settings = cli.row_config(config, "photos", "faces", "weights", "keypoints", "extensions", "sniff", "retry")
    # What a part holds must not change between a kill and the resuming.
    recipe = RECIPE.of(settings | {"part_bytes": PART_BYTES}, inputs, models)
    paths = [tables.part_path(recipe.fingerprint, i) for i in range(found.listing.parts)]
    run = TableRun(
        output=config.faces,
        schema="faces",
        recipe=recipe,
        plan=found.listing.plan(config.faces, recipe.fingerprint),
        make_stage=partial(CuratePhotos, config.photos, curate_rules(config), config.weights or None, known),
        measure=faces_table.measure,
        beside=(FOLDER,),
        prepare=lambda: found.listing.keep(config.faces, recipe.fingerprint),
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
    for line in found.lines():
        log.info(line)
    if not config.retry or config.dry_run:
        table_run.make(config, run)
        return
    again = retry.Again(config.retry, found.listing.rows(), partial(shown_uri, config.photos))
    funnel.write(config.faces, retry.run(config, run, again))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
