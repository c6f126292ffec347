"""What a bank is made of (table III), how recall trades for speed, and what a bank of another size would take.

ray job submit --working-dir . -- python -m jobs.bank_report --bank s3://bucket/bank --report s3://bucket/bank_report
… --action running|stop                                which shards of banks run on the cluster; end them (those of --bank, or all)
… --action tune --features s3://bucket/features       recall against speed of approximate indexes, with a plot
… --action plan --vectors 1000000000 --node-gib 64    shards, memory and nodes of a bank of any size; no cluster is needed
"""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import pandas as pd

from actors import bank_actors
from jobs.runtime import cli
from rupantara.bank import versions
from rupantara.bank.planning import plan_bank
from rupantara.bank.sweep import sweep
from rupantara.errors import UserError
from rupantara.reports import bank as report
from rupantara.reports import html
from rupantara.storage import uris

log = logging.getLogger("jobs")
STATISTICS = ("species", "region", "norm", "mean", "std")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Report on a bank."""

    OUTPUT: ClassVar[str] = "report"

    action: Literal["stats", "tune", "plan", "running", "stop"] = "stats"
    """`stats`: composition and indexes; `tune`: builds approximate indexes of one shard and sweeps their settings; `plan`: arithmetic;
    `running`: the shard actors on the cluster; `stop`: ends them."""
    bank: cli.Uri = ""
    """Bank (stats, tune; running, stop: of this bank alone)."""
    features: cli.Uri = ""
    """Features table of the same model: its humans are the queries of `tune` ("" = points between stored vectors)."""
    report: cli.Uri = ""
    """Output folder of report.html and report.json ("" = print only)."""
    shard: int = 0
    """Shard whose vectors are indexed (tune)."""
    index: str = "auto"
    """FAISS factory string to try (tune); auto = what the size of the shard suggests, approximate in any case."""
    vectors: int = 10_000_000
    """Vectors of the planned bank, over all regions (plan)."""
    dim: int = 128
    """Length of a vector (plan)."""
    node_gib: float = 64.0
    """Memory of a node (plan)."""
    node_cpus: int = 8
    """Processors of a node (plan)."""
    replicas: int = 1
    """Actors a shard (plan)."""
    num_shards: int = 0
    """Shards (plan; 0 = as many as fit)."""


def stats(config: Config) -> tuple[html.Section, Any]:
    """Count the bank's own rows."""
    found = versions.latest(config.bank)
    parts = [found.rows(i, STATISTICS).to_pandas() for i in range(len(found.shards))]
    rows = pd.concat(parts)
    told = json.loads(versions.describe(found))
    features = rows.groupby(["species", "region"]).size().unstack()
    return report.composition(rows, told), told | {"features": json.loads(features.to_json(orient="index"))}


def tune(config: Config) -> tuple[html.Section, Any]:
    """Sweep the settings of approximate indexes of one shard."""
    found = versions.latest(config.bank)
    if not 0 <= config.shard < len(found.shards):
        raise UserError(f"--shard must be from 0 to {len(found.shards) - 1}, got {config.shard}")
    swept = sweep(found, config.shard, config.index, config.features)
    told = {
        "index": swept.index,
        "vectors": swept.vectors,
        "scan_queries_per_s": swept.scanned,
        "settings": swept.settings,
    }
    return report.speed(swept.settings, swept.scanned), told


def plan(config: Config) -> tuple[html.Section, Any]:
    """Do the arithmetic."""
    made = plan_bank(
        config.vectors,
        config.dim,
        node_gib=config.node_gib,
        node_cpus=config.node_cpus,
        replicas=config.replicas,
        shards=config.num_shards,
    )
    return html.Section("Plan", list(made.lines), [], []), asdict(made)


def running(config: Config) -> tuple[html.Section, Any]:
    """List the shard actors that run on the cluster, whoever started them, and with `stop` end them."""
    cli.connect()
    found = {
        name: told for name, told in bank_actors.running().items() if not config.bank or told.get("bank") == config.bank
    }
    if config.action == "stop":
        bank_actors.stop(list(found))
    columns = ("bank", "shard", "versions", "idle_s", "pid")
    rows = [[name, *(told.get(column, "no answer") for column in columns)] for name, told in found.items()]
    said = f"{len(found)} shard actors {'were ended' if config.action == 'stop' else 'run'}"
    return html.Section("Shard actors", [said], [html.Table(said, ["name", *columns], rows)] if rows else []), found


ACTIONS = {"stats": stats, "tune": tune, "plan": plan, "running": running, "stop": running}


def main(config: Config) -> None:
    """Run the job."""
    if config.action in ("stats", "tune") and not config.bank:
        raise UserError(f"--action {config.action} needs --bank")
    if config.dry_run:
        print(config)
        return
    section, told = ACTIONS[config.action](config)
    for line in section.paragraphs:
        print(line)
    for table in section.tables:
        print(pd.DataFrame(list(table.rows), columns=list(table.header)).to_string(index=False))
    if config.report:
        uris.write_bytes(uris.join(config.report, "report.json"), json.dumps(told, indent=1).encode())
        uris.write_bytes(uris.join(config.report, "report.html"), html.render("Bank", [section]))
        log.info("report: %s", uris.join(config.report, "report.html"))


if __name__ == "__main__":
    cli.run(main, {"default": Config()}, __doc__ or "")
