"""What the numbers say, in sentences: which animal, which region, how sure."""

import numpy as np

from rupantara.metrics.affinity_summary import OVERALL, ROWS
from rupantara.reports.reverse_mapping.numbers import Numbers

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def ordinal(rank: int) -> str:
    """Return first, second, …, or 11th and on."""
    return ORDINALS[rank - 1] if rank <= len(ORDINALS) else f"{rank}th"


def rank_words(least: int, greatest: int) -> str:
    """Return "first", or "first to third"."""
    return ordinal(least) if least == greatest else f"{ordinal(least)} to {ordinal(greatest)}"


def nearest(n: Numbers, region: str) -> dict:
    """Return the row of the species that is nearest in a region, by probability, in the table's space."""
    return min(n.of("species", space=n.first, region=region), key=lambda row: row["place"])


def kind(n: Numbers) -> tuple[str, str]:
    """Return what faces are compared with, one and several: species, or groups of people."""
    return ("group", "groups") if n.about.get("to") == "people" else ("species", "species")


def headline(n: Numbers) -> str:
    """Say which species is nearest over all regions, and how sure that is."""
    best = nearest(n, OVERALL)
    who = "people" if n.about.get("of") == "human" else "animals"
    sure = best["rank_least"] == best["rank_greatest"]
    rank = rank_words(best["rank_least"], best["rank_greatest"])
    said = (
        f"with 95 % confidence it ranks {rank}"
        if sure
        else f"with 95 % confidence it ranks somewhere from {rank} (its rank set), so another may be nearer"
    )
    return (
        f"Over all five regions, {who} are nearest to {best['species']}: a random {best['species']} region is nearer than a random"
        f" region of another {kind(n)[0]} with probability {best['probability']:.2f}"
        f" (95 % interval {best['probability_low']:.2f} to {best['probability_high']:.2f}; 0.50 would be no nearer); {said}."
    )


def by_region(n: Numbers) -> str:
    """Say which species is nearest in each region."""
    said = []
    for region in ROWS[:-1]:
        row = nearest(n, region)
        sure = (
            ""
            if row["rank_least"] == row["rank_greatest"] == 1
            else f", {rank_words(row['rank_least'], row['rank_greatest'])}"
        )
        said.append(f"{region} {row['species']} ({row['probability']:.2f}{sure})")
    strongest = max((nearest(n, region) for region in ROWS[:-1]), key=lambda row: row["probability"])
    return (
        f"By region: {'; '.join(said)}. The strongest likeness is of {strongest['region']} to {strongest['species']}."
        " Where places follow a number, another may be nearer: these are the places that it holds with 95 % confidence."
    )


def over_spaces(n: Numbers) -> str:
    """Say which orderings hold in every space, and which do not."""
    rows = n.of("orderings", region=OVERALL)
    names = [row["space"] for row in n.tables["spaces"] if row["ranks"]]
    if len(names) < 2 or not rows:
        return "One space was compared: whether the order holds in others is not known."
    every = [row for row in rows if row["holds_in_all"]]
    against = [row for row in rows if row["holds_in"] and row["reversed_in"]]
    firsts = {
        name: min(n.of("species", space=name, region=OVERALL), key=lambda r: r["place"])["species"] for name in names
    }
    same = len(set(firsts.values())) == 1
    lead = (
        f"All {len(names)} spaces ({', '.join(names)}) put {next(iter(firsts.values()))} first."
        if same
        else "The spaces do not agree on the first: " + ", ".join(f"{s} in {name}" for name, s in firsts.items()) + "."
    )
    said = "; ".join(f"{row['nearer']} before {row['than']}" for row in every[:6])
    among = f" ({said}{'; …' if len(every) > 6 else ''})" if said else ""
    kept = sum(bool(row["holds_in_halves"]) for row in every)
    halves = f" {kept} of these keep it by mean cosine in both halves of the bank, dealt by hash." if every else ""
    turned = "; ".join(f"{row['nearer']} and {row['than']}" for row in against[:4])
    return (
        f"{lead} Of {len(rows)} pairs of {kind(n)[1]}, {len(every)} are in the same order beyond chance in every space{among}.{halves}"
        f" {len(against)} are in opposite orders beyond chance in two spaces{f' ({turned})' if turned else ''}; the others hold in some"
        f" spaces or in none.{_faces_of_spaces(n)}"
    )


def _faces_of_spaces(n: Numbers) -> str:
    """Say where a space was compared over fewer faces than all."""
    fewer = {row["space"]: row["faces"] for row in n.tables["spaces"] if row["faces"] < n.faces}
    said = ", ".join(f"{name} {faces:,}" for name, faces in fewer.items())
    return f" Of the {n.faces:,} faces, some spaces were compared over fewer, chosen by hash: {said}." if said else ""


def chance(n: Numbers) -> str:
    """Say how species' labels do against shuffled ones."""
    rows = n.of("species", space=n.first)
    beyond = [row for row in rows if row["label_p"] <= 0.05 and row["region"] != OVERALL]
    total = len([row for row in rows if row["region"] != OVERALL])
    strongest = max(rows, key=lambda row: abs(row["lead_d"]))
    return (
        f"Of {total} pairs of a region and a {kind(n)[0]}, {len(beyond)} differ from the other {kind(n)[1]} more than shuffled labels do"
        f" (999 shuffles, corrected for all by max-T, 5 %). The largest effect is {strongest['species']} in {strongest['region']}:"
        f" {strongest['lead_d']:+.2f} standard deviations of single {'people' if n.about.get('to') == 'people' else 'animals'}."
    )


def calibration(n: Numbers) -> str:
    """Say where the ends of the scale are: other people, and a species' own animals."""
    said = []
    person = n.of("calibration", faces="human", region=OVERALL)
    species = n.of("species", space=n.first, region=OVERALL)
    if person:
        least, most = (f(row["person_probability"] for row in species) for f in (min, max))
        said.append(
            f"A random other person's region is nearer than a random animal's with probability {person[0]['probability']:.2f}, and a"
            f" region of any species is nearer than a random other person's with probability {least:.2f} to {most:.2f} only:"
            " all animals are far."
        )
    own = [row for row in n.of("calibration", region=OVERALL) if row["faces"] == row["species"]]
    if own:
        mean = float(np.mean([row["probability"] for row in own]))
        said.append(f"An animal of the bank finds its own species nearer than others with probability {mean:.2f}.")
    return " ".join(said)


def groups(n: Numbers) -> str:
    """Say where two groups of faces differ beyond chance."""
    rows = n.tables["differences"]
    if not rows:
        return ""
    count = len({(row["first"], row["second"]) for row in rows})
    pairs = f"{count} pairs of groups were compared" if count > 1 else "Two groups were compared"
    beyond = sorted((row for row in rows if row["p"] <= 0.05), key=lambda row: -abs(row["d"]))
    if not beyond:
        return f"{pairs}; no difference in any region and species is beyond chance."
    top = beyond[0]
    more, less = (top["first"], top["second"]) if top["difference"] > 0 else (top["second"], top["first"])
    return (
        f"{pairs}; beyond chance in at least one region and species: {len({(r['first'], r['second']) for r in beyond})}."
        f" The largest difference: {more} is nearer to {top['species']} in {top['region']} than {less}, by"
        f" {abs(top['difference']):.3f} in probability (d = {abs(top['d']):.2f}, corrected p = {top['p']:.3f})."
    )


CAUTION = (
    "These numbers are of a network's features of photographs: they say which species' pictures look most like these faces to it, under"
    " this bank's light, pose and cameras. They say nothing about biology, and nothing about the worth of a person or group."
)
