"""What is mapped: a features table, a faces table, or photographs; how it is cut into parts, and how features are made of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from jobs.reverse_map.config import Config
from rupantara.bank.face_groups import read_groups
from rupantara.bank.spec import COLUMNS, made_by, model_of
from rupantara.bank.versions import BankVersion
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.faces.finder import networks_of
from rupantara.faces.rules import CurateRules
from rupantara.features import extractors
from rupantara.features.extractor import ExtractorNetworks, Spec
from rupantara.stages.affinity_rows import FaceRows, FeatureRows, MadeRows, PhotoRows
from rupantara.stages.curate import CuratePhotos
from rupantara.stages.extract import COLUMNS as FACE_COLUMNS
from rupantara.stages.extract import ExtractFeatures
from rupantara.storage import manifest, plan, weights
from rupantara.storage.listing import FOLDER, Listing
from rupantara.storage.plan import Part

PART_ROWS = 8192
"""Features, about, in a part: each part leaves 3 MB of statistics, however few its faces are."""
PART_PHOTOS, PART_BYTES = 1024, 512 * 2**20
RULES = CurateRules(people_among_animals="reject")
"""What photographs are curated by: as `jobs.curate` does without flags."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """How many faces there are at most, the parts by the recipe's fingerprint, what the recipe keeps, and how rows become features."""

    faces: int
    plan: Callable[[str], Sequence[Part]]
    make_rows: Callable[[Compute], MadeRows]
    sources: Mapping[str, str]
    models: Mapping[str, str]
    computes: bool = False
    columns: Sequence[str] | None = None
    keep: Callable[[str], None] = field(default=lambda fingerprint: None)
    beside: Sequence[str] = ()


def inputs_of(config: Config, bank: BankVersion) -> Inputs:
    """Look at what is mapped; raise UserError where its network is not the bank's."""
    made = _photos(config, bank) if config.photos else (_features if config.features else _faces)(config, bank)
    model = made.models[made_by(bank.vectors)]
    if model != bank.model_sha256:
        raise UserError(
            f"faces and --bank must be of one network, got {model[:12] or 'none'} and {bank.model_sha256[:12]} ({bank.vectors}):"
            " give --weights as jobs.extract had them"
        )
    return made


def _features(config: Config, bank: BankVersion) -> Inputs:
    found = manifest.require(config.features, "features")
    sources = {"features": found.content}
    # Whom a face is of decides whom it is compared with.
    sources |= {"faces": manifest.require(config.faces, "faces").content} if config.faces else {}
    return Inputs(
        faces=int(found.counts.get("accepted", 0)),
        plan=lambda fingerprint: plan.of_rows_in_files(config.features, found, PART_ROWS),
        make_rows=partial(_feature_rows, config.faces, config.by),
        sources=sources,
        models={made_by(bank.vectors): model_of(config.features, found, bank.vectors)},
        columns=(*COLUMNS, bank.vectors),
    )


def _feature_rows(faces: str, by: Sequence[str], compute: Compute) -> FeatureRows:
    return FeatureRows(read_groups(faces, by))


def _faces(config: Config, bank: BankVersion) -> Inputs:
    found = manifest.require(config.faces, "faces")
    return Inputs(
        faces=int(found.counts.get("accepted", 0)),
        plan=lambda fingerprint: plan.of_files(config.faces, found),
        make_rows=partial(_face_rows, config, bank.vectors),
        sources={"faces": found.content},
        models={made_by(bank.vectors): extractors.model_sha256(*extracted(config, bank.vectors))},
        computes=True,
        columns=(*FACE_COLUMNS, "identity", "attributes"),
    )


def _face_rows(config: Config, vectors: str, compute: Compute) -> FaceRows:
    spec, source = extracted(config, vectors, compute.device)
    return FaceRows(ExtractFeatures([spec], source, compute.threads), config.by)


def _photos(config: Config, bank: BankVersion) -> Inputs:
    found = photographs.find(config.photos, Listing(PART_PHOTOS, PART_BYTES))
    sidecars = photographs.sidecars(config.photos)
    known = photographs.match(config.photos, sidecars, found.listing)
    used = networks_of(config.weights, people=found.people, animals=found.animals, judge_people=True)
    models = {name: weights.sha256(config.weights, name) for name in used}
    models |= {made_by(bank.vectors): extractors.model_sha256(*extracted(config, bank.vectors))}
    return Inputs(
        faces=found.listing.files,
        plan=lambda fingerprint: found.listing.plan(config.affinity, fingerprint),
        make_rows=partial(_photo_rows, config, bank.vectors, known),
        sources={"photos": found.hash.hexdigest(), "keypoints": photographs.hash_of(sidecars)},
        models=models,
        computes=True,
        keep=lambda fingerprint: found.listing.keep(config.affinity, fingerprint),
        beside=(FOLDER,),
    )


def _photo_rows(config: Config, vectors: str, known: Mapping[str, np.ndarray], compute: Compute) -> PhotoRows:
    curate = CuratePhotos(config.photos, RULES, config.weights or None, known)
    return PhotoRows(curate, _face_rows(config, vectors, compute))


def extracted(config: Config, vectors: str, device: str = "cpu") -> tuple[Spec, ExtractorNetworks]:
    """Say which extractor makes the bank's vectors of faces, and from where."""
    if vectors not in extractors.EXTRACTORS:
        raise UserError(f"faces alone need a bank of region_features, {config.bank} holds {vectors}: map --features")
    return extractors.parse(f"{vectors}:store=float16"), ExtractorNetworks("", config.weights, device)
