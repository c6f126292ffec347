"""The report of an affinity table: drawn when the table is complete, or again from a finished one."""

from dataclasses import dataclass

from jobs.reverse_map.config import Config
from jobs.runtime import cli
from rupantara.evaluation import affinity_cards, affinity_report
from rupantara.storage import manifest, uris
from rupantara.storage.manifest import Manifest


def report(config: Config, done: Manifest) -> list[str]:
    """Draw the report, unless this table's lies there already."""
    page, mark = uris.join(config.affinity, "report.html"), uris.join(config.affinity, "tables/drawn_from")
    if uris.exists(page) and uris.exists(mark) and uris.read_bytes(mark).decode() == done.content:
        return [f"report: {page}"]
    cards = (
        affinity_cards.cards(config.affinity, config.faces, config.cards, ()) if config.faces and config.cards else ()
    )
    drawn = affinity_report.write(config.affinity, tuple(cards))
    uris.write_bytes(mark, done.content.encode())
    made_of = [f"made of {done.counts['in']} photographs; those without a face that can be used are left out"]
    return [*(made_of if config.photos else ()), f"report: {drawn}"]


@dataclass(frozen=True, kw_only=True)
class ReportConfig(cli.Common):
    """Draw the report of a finished affinity table again."""

    affinity: cli.Uri
    """Affinity table; report.html, figures/ and tables/ are written into it."""
    faces: cli.Uri = ""
    """Faces table of the mapped faces, and of the bank's animals unless --bank-faces names theirs: pictures for the cards."""
    bank_faces: cli.Uri = ""
    """Faces table of the bank's animals."""
    beside: tuple[cli.Uri, ...] = ()
    """Affinity tables of the same species by other vectors: the report says which orderings hold in all of their spaces."""
    cards: int = 8
    """Faces shown with their regions and nearest animals (needs --faces)."""
    face_ids: tuple[str, ...] = ()
    """The faces shown; empty = the first of the table."""


def draw(config: ReportConfig) -> None:
    """Draw the report again."""
    manifest.require(config.affinity, "affinity")
    wanted = (config.affinity, config.faces, config.cards, config.face_ids, config.bank_faces)
    cards = affinity_cards.cards(*wanted) if config.faces and (config.cards or config.face_ids) else ()
    print(f"report: {affinity_report.write(config.affinity, tuple(cards), config.beside)}")
