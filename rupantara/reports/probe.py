"""What region codes know, as a report's section."""

from rupantara.landmarks.regions import REGIONS
from rupantara.reports.html import Section, Table
from rupantara.storage import manifest, tables

TITLES = {
    "domain_probe": "Domain gap: accuracy of a linear probe telling humans from animals (0.5 = cannot)",
    "domain_mmd": "Domain gap: squared maximum mean discrepancy, RBF kernel at the median distance (0 = none)",
    "distinct_hits": "Distinct nearest animals over held-out humans (1 = each human finds another)",
    "species": "Species of the nearest other animal is the same",
}
MATCH = "An altered animal finds its own feature first: "
VIEWS, BOTH_VIEWS = "_views", " (asked with its mirror image too)"


def section(uri: str) -> Section:
    """Show every measure by region, for raw and aligned codes."""
    found = manifest.require(uri, "probe")
    rows = tables.read(uri, schema="probe").to_pylist()
    tables_of = []
    for measure in dict.fromkeys(row["measure"] for row in rows):
        title = TITLES.get(measure) or _match_title(measure)
        lines = []
        for space in ("raw", "aligned"):
            by_region = {r["region"]: r for r in rows if r["measure"] == measure and r["space"] == space}
            lines.append([space, by_region[REGIONS[0]]["n"], *(_cell(by_region[region]) for region in REGIONS)])
        tables_of.append(Table(title, ["codes", "n", *REGIONS], lines))
    held = (
        f"Held-out faces (splits val and test), one a person, seed {found.recipe.config['seed']}. Aligned codes have the mean and spread"
        " of their own domain taken out, as the bank compares them. Brackets hold 95 % intervals; the discrepancy and the distinct"
        " nearest animals have none, for neither is a share of independent faces."
    )
    gallery = found.extra["gallery"]
    matches = (
        f"Altered animals are looked for among {gallery['held_out']} held-out and {gallery['train']} train animals. Codes know left from"
        " right, as a hybrid needs, so a mirrored picture asked for by itself seldom finds its own. Asked with its mirror image too,"
        " each animal at the better of its two scores, search does not care which way a face looks: then a flip alters nothing, and its"
        " table says only that animals differ."
    )
    return Section("Region codes", [held, matches], tables_of)


def _match_title(measure: str) -> str:
    altered = measure.removeprefix("match_").removesuffix(VIEWS).replace("_", " and ")
    return MATCH + altered + (BOTH_VIEWS if measure.endswith(VIEWS) else "")


def _cell(row: dict[str, float]) -> str:
    value = f"{row['value']:.3f}"
    return value if row["low"] != row["low"] else f"{value} [{row['low']:.3f}, {row['high']:.3f}]"
