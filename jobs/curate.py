"""Photographs to faces: decode, detect, align, measure and split; every failure is a reject row with its reason.

    ray job submit --working-dir . -- python -m jobs.curate --photos s3://bucket/photos --weights s3://bucket/weights \
        --faces s3://bucket/faces
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from jobs.duplicates import reject_duplicates
from jobs.photo_parts import EXTENSIONS, photo_part, photographs
from jobs.runtime import cli, parts, retry
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.duplicates import REASON
from rupantara.faces.paths import DEFAULT_RULES, compile_rules, count_by_rule, is_animal
from rupantara.reports import funnel, html
from rupantara.stages.curate import CuratePhotos, CurateRules, load_known_keypoints, shown_uri
from rupantara.storage import tables, uris, weights
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.storage.uris import FileEntry

RECIPE = RecipeSpec("curate", version=1)
PART_BYTES = 128 * 2**20
ANY = DEFAULT_RULES[-1]
OTHERS = "of any other picture: each is taken for a person of its own, who has no other pictures"
log = logging.getLogger("jobs")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Curate photographs into a faces table."""

    OUTPUT: ClassVar[str] = "faces"

    photos: str
    """Folder or s3:// prefix, listed recursively."""
    faces: str
    """Output table."""
    weights: str = ""
    """Folder or s3:// prefix of networks: yunet_n_dynamic.onnx and pfld.onnx (without it, only known keypoints are used), and
    mobilefacenet.npz (without it, people in animals' photographs are not looked for)."""
    keypoints: str = ""
    """JSON of known keypoints; empty = every *keypoints.json in the photographs' folder or its parent."""
    extensions: tuple[str, ...] = EXTENSIONS
    """Names that count as photographs; others are only counted."""
    rules: tuple[str, ...] = DEFAULT_RULES
    """Regular expressions over the path; named groups: domain, species, identity, any attribute. The first found decides."""
    size: int = 256
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
    part_photos: int = 256
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


def plan(config: Config, entries: Sequence[FileEntry]) -> list[parts.Part]:
    """Cut the sorted listing into parts of bounded count and bytes."""
    planned: list[parts.Part] = []
    rows: list[FileEntry] = []
    for entry in entries:
        if rows and (len(rows) >= config.part_photos or sum(r.size for r in rows) + entry.size > PART_BYTES):
            planned.append(photo_part(len(planned), rows))
            rows = []
        rows.append(entry)
    return [*planned, photo_part(len(planned), rows)] if rows else planned


def find_keypoints(config: Config) -> dict[str, bytes]:
    """Read the known keypoints: the given file, else those beside the photographs."""
    if config.keypoints:
        return {config.keypoints: uris.read_bytes(config.keypoints)}
    folders = [config.photos.rstrip("/")]
    if uris.is_local(config.photos):
        folders.append(uris.resolve(config.photos)[1].rpartition("/")[0])
    found = {}
    for folder in folders:
        for entry in uris.list_files(folder, recursive=False):
            if entry.path.endswith("keypoints.json"):
                found[uris.join(folder, entry.path)] = uris.read_bytes(uris.join(folder, entry.path))
    return found


def curate_rules(config: Config, *, judge: bool) -> CurateRules:
    """Copy the row-deciding flags; `judge` says whether people are looked for among animals."""
    rules = CurateRules(**{f.name: getattr(config, f.name) for f in fields(CurateRules) if hasattr(config, f.name)})
    return replace(rules, people_among_animals="reject" if judge else "keep")


def networks(config: Config, entries: Sequence[FileEntry]) -> list[str]:
    """Return the names of the networks that these photographs are judged with."""
    wanted = config.people_among_animals == "reject" and any(is_animal(e.path, config.rules) for e in entries)
    if wanted and not weights.has(config.weights, "mobilefacenet"):
        log.warning("people in animals' photographs are not looked for: that needs mobilefacenet.npz in --weights")
        wanted = False
    return ["yunet", "pfld", *(["mobilefacenet"] if wanted else [])]


def build(config: Config) -> tuple[Recipe, list[parts.Part], partial[CuratePhotos], dict[str, Any]]:
    """List, plan, and describe the run."""
    compile_rules(config.rules)
    if min(config.split_percent) < 0 or not sum(config.split_percent) or config.part_photos < 1 or config.size < 32:
        raise UserError(
            f"--split-percent must not be all 0, --part-photos at least 1 and --size at least 32, got"
            f" {config.split_percent}, {config.part_photos}, {config.size}"
        )
    uris.require_folder(config.photos, "--photos")
    listed = uris.list_files(config.photos)
    entries = photographs(listed, config.extensions)
    if not entries:
        raise UserError(f"--photos holds no file named *.{'/'.join(config.extensions)}, got {config.photos!r}")
    by_rule = count_by_rule((e.path for e in entries), config.rules)
    sidecars = find_keypoints(config)
    known: dict[str, np.ndarray] = {}
    for name, data in sidecars.items():
        known |= load_known_keypoints(data, name)
    models = {}
    if config.weights:
        models = {n: hashlib.sha256(weights.load(config.weights, n)).hexdigest() for n in networks(config, entries)}
    inputs = {"photos": uris.fingerprint_files(entries)}
    inputs["keypoints"] = hashlib.sha256(b"".join(sidecars[k] for k in sorted(sidecars))).hexdigest()
    settings = cli.row_config(config, "photos", "faces", "weights", "keypoints", "extensions", "retry")
    # What a part holds must not change between a kill and the resuming.
    settings["part_bytes"] = PART_BYTES
    recipe = RECIPE.of(settings, inputs, models)
    rules = curate_rules(config, judge="mobilefacenet" in models)
    make_stage = partial(CuratePhotos, config.photos, rules, config.weights or None, known)
    return (
        recipe,
        plan(config, entries),
        make_stage,
        {
            "photographs": len(entries),
            "known_keypoints": len(known),
            "keypoint_files": sorted(sidecars),
            "listed": len(listed),
            "not_photographs": len(listed) - len(entries),
            "by_rule": by_rule,
        },
    )


def main(config: Config) -> None:
    """Run the job."""
    recipe, planned, make_stage, listing = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(planned)} parts, {listing}")
        return
    log.info("%d files listed, %d of them not photographs by name", listing["listed"], listing["not_photographs"])
    log.info("%d known keypoints in %s", listing["known_keypoints"], ", ".join(listing["keypoint_files"]) or "no file")
    for rule, count in listing["by_rule"].items():
        log.info("%d photographs fall under the rule %s", count, OTHERS if rule == ANY else rule)
    rows = pa.concat_tables([part.rows for part in planned if part.rows is not None])
    if REASON in config.retry:
        raise UserError(f"--retry must name reasons that a later try can mend, got {REASON}")
    if config.retry:
        uri_of = partial(shown_uri, config.photos)
        done = retry.run(config, config.faces, recipe, config.retry, rows, uri_of, make_stage)
    else:
        run = partial(parts.run_parts, config, config.faces, "faces", recipe, planned, make_stage)
        begun = partial(retry.write_listing, config.faces, recipe, rows)
        paths = [tables.part_path(recipe.fingerprint, part.index) for part in planned]
        amend = partial(reject_duplicates, config.faces, paths, recipe.fingerprint)
        done = run(version=schema.VERSION, beside=retry.LISTING, begun=begun, amend=amend, **listing)
    if not done.counts["accepted"]:
        log.warning("no face was accepted%s", "" if config.weights else ": give --weights, or known keypoints")
    write_report(config.faces, done)


def write_report(faces: str, done: Manifest) -> None:
    """Write the funnel beside the table, unless it is there already."""
    uri = uris.join(faces, "report.html")
    if not uris.exists(uri) or funnel.mark(done).encode() not in uris.read_bytes(uri):
        uris.write_bytes(uri, html.render("Curation", [funnel.section(faces)]))
    log.info("report: %s", uri)


if __name__ == "__main__":
    cli.run(main, {"default": default(), "strict": strict()}, __doc__ or "")
