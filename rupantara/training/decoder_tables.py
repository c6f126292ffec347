"""The features tables that decoders are trained on: what they hold, that they belong together, and which faces are taken."""

from dataclasses import dataclass, replace

from rupantara.errors import UserError
from rupantara.features.extractors import EXTRACTORS
from rupantara.features.textures import MEAN, PARENTS
from rupantara.storage import manifest
from rupantara.training.choice import TrainingChoice, choose
from rupantara.training.decoder_rows import IDENTITY, DecoderRows, VectorField, vector_field
from rupantara.training.decoder_settings import PICTURE, DecoderSettings
from rupantara.training.streams import Stream


@dataclass(frozen=True)
class DecoderTables:
    """What is trained on: tables, the faces that they are of, the vectors' column, the mean face."""

    uris: tuple[str, ...]
    faces: str
    vector: VectorField
    mean: tuple[float, ...]

    @property
    def inputs(self) -> dict[str, str]:
        """Return the content of each table, by flag."""
        names = zip(("features", "morphs"), self.uris, strict=False)
        return {name: manifest.require(uri, "features").content for name, uri in names}


def open_tables(features: str, morphs: str, settings: DecoderSettings, *, networks: bool) -> DecoderTables:
    """Check that the tables hold what the parts need, and share a mean face and a split; UserError naming what is missing.

    `morphs` may be ""; `networks` tells whether there are networks for the losses.
    """
    found, names = manifest.require(features, "features"), settings.names()
    try:
        vector, mean = vector_field(features, found.data[0].path, settings.vector), found.extra.get(MEAN)
    except UserError as error:
        if settings.vector not in EXTRACTORS:
            raise
        raise UserError(f"{error}: run jobs.extract with --extractors … {settings.vector}") from error
    objectives = [settings.objective(name) for name in names]
    if max(o.perceptual_weight + o.identity_weight for o in objectives) > 0 and not networks:
        raise UserError(
            "--perceptual-weight and --identity-weight above 0 need --weights, the folder of their networks"
        )
    wanted = {PICTURE[name] for name in names if PICTURE[name]} | ({"texture"} if "joint" in names else set())
    wanted |= {IDENTITY} if any(o.identity_weight > 0 for o in objectives) else set()
    lacking = sorted((wanted - set(vector.columns)) | (set() if mean else {"texture"}))
    if lacking or not mean:
        raise UserError(
            f"{features} has no column {' '.join(lacking)}: run jobs.extract with --extractors … {' '.join(lacking)}"
        )
    opened = {features: found} | ({morphs: manifest.require(morphs, "features")} if morphs else {})
    for uri, table in opened.items():
        _check_sizes(uri, table, wanted, settings.size)
    tables = DecoderTables(
        (features, morphs) if morphs else (features,), found.recipe.inputs["faces"], vector, tuple(mean)
    )
    if morphs:
        _check_morphs(tables, opened[morphs], wanted)
    return tables


def _check_sizes(uri: str, table: manifest.Manifest, wanted: set[str], size: int) -> None:
    sizes = {e["name"]: e["size"] for e in table.recipe.config["extractors"] if e["name"] in wanted}
    small = {name: side for name, side in sizes.items() if side < size}
    if small:
        raise UserError(f"--size must be at most that of the pictures in {uri}, got {size} and {small}")


def _check_morphs(tables: DecoderTables, morphs: manifest.Manifest, wanted: set[str]) -> None:
    features, uri = tables.uris
    theirs = vector_field(uri, morphs.data[0].path, tables.vector.name)
    if morphs.extra.get(PARENTS) != tables.faces:
        raise UserError(
            f"--morphs must be of morphs of the faces of --features, or held-out faces would be trained on; {uri} is not"
        )
    if morphs.extra.get(MEAN) != list(tables.mean):
        raise UserError(f"--morphs must be extracted with --mean-of {features}, {uri} has another mean face")
    if theirs.model_sha256 != tables.vector.model_sha256 or not wanted <= set(theirs.columns):
        raise UserError(f"{uri} must hold {tables.vector.name} by the same network, {' and '.join(sorted(wanted))}")


@dataclass(frozen=True)
class Sets:
    """Choices of the train and the validation set of one part."""

    train: TrainingChoice
    validation: TrainingChoice
    counts: tuple[int, int]

    def streams(self, uris: tuple[str, ...], rows: DecoderRows) -> tuple[Stream, Stream]:
        """Return the streams to train on, of all tables, and to validate on, of the first; rows lack none of the columns of `rows`."""

        def stream(own: tuple[str, ...], choice: TrainingChoice, count: int) -> Stream:
            choice = replace(choice, present=tuple(dict.fromkeys((*choice.present, *rows.columns))))
            return Stream(own, "features", choice.columns, choice, rows, count)

        return stream(uris, self.train, self.counts[0]), stream(uris[:1], self.validation, self.counts[1])


def choose_sets(
    uris: tuple[str, ...], rows: DecoderRows, most: int, most_validation: int, least: int, seed: int
) -> Sets:
    """Choose people who have all of the columns that `rows` reads; UserError where a set has fewer than 2 (train: than `least`)."""
    held = TrainingChoice("val", "human", present=rows.columns, seed=seed)
    train = choose(
        uris, "features", TrainingChoice("train", "human", present=rows.columns, seed=seed), most, max(2, least)
    )
    validation = choose(uris[:1], "features", held, most_validation, 2)
    return Sets(train.choice, validation.choice, (train.count, validation.count))
