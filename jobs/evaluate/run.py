"""How every evaluation runs: its baselines in one Ray task, its parts through the table's workers, then the report."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import ray

from jobs.evaluate import comparison, generated, inversion, reconstruction
from jobs.evaluate.config import Config, Plan, log
from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.reports import html
from rupantara.stages.measure import MeasureMethods
from rupantara.storage import checkpoints, manifest, uris

DEFAULT = Config(faces=cli.REQUIRED, metrics=cli.REQUIRED)
TIMEOUT_S = 3600


def plan_of(config: Config) -> Plan:
    """Plan by what is given."""
    if bool(config.checkpoint) == bool(config.generated):
        raise UserError("give either --checkpoint or --generated, what is evaluated")
    if config.generated:
        return generated.plan(config)
    if config.features:
        return inversion.plan(config)
    alone = len(config.checkpoint) == 1 and checkpoints.model_type(config.checkpoint[0]) == loading.MODEL_TYPE
    return reconstruction.plan(config) if alone else comparison.plan(config)


def prepare(plan: Plan) -> dict[str, Any]:
    """Fit the baselines in one Ray task, and wait for it."""
    cli.connect()
    task = ray.remote(plan.prepare).options(num_cpus=min(2.0, os.cpu_count() or 1))
    return ray.get(task.remote(), timeout=TIMEOUT_S)


def main(config: Config) -> None:
    """Run the job."""
    plan = plan_of(config)
    if config.dry_run:
        print(config, f"\nfingerprint {plan.recipe.fingerprint}\n{plan.said}")
        return
    log.info("%s: %s", plan.title, plan.said)
    version, facts = schema.version_of("metrics"), {}
    found = manifest.read(config.metrics)
    if found is None or found.fingerprint != plan.recipe.fingerprint:
        manifest.begin(config.metrics, "metrics", plan.recipe, version=version, overwrite=config.overwrite)
        facts = prepare(plan)
    arguments = (plan.make_trial, plan.judges, plan.shown, plan.make_measures)
    make_stage: Callable[[], Any] = partial(MeasureMethods, *arguments)
    parts_of = parts.parts_of(plan.table, manifest.require(plan.table, plan.schema_name))
    run = partial(parts.run_parts, config, config.metrics, "metrics", plan.recipe, parts_of, make_stage)
    run(version=version, columns=plan.columns, **facts)
    if plan.baselines:
        uris.delete(plan.baselines)
    report = uris.join(config.metrics, "report.html")
    uris.write_bytes(report, html.render(plan.title, [plan.section(config.metrics)]))
    for row in (plan.header, *plan.rows_of(config.metrics)) if plan.rows_of else ():
        print("| " + " | ".join(map(str, row)) + " |")
    log.info("report: %s", report)
