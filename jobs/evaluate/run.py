"""How every evaluation runs: its baselines in one Ray task, its parts through the table's workers, then the report."""

from collections.abc import Callable
from functools import partial
from typing import Any

import ray

from jobs.evaluate import comparison, generated, inversion, reconstruction
from jobs.evaluate.config import Config, EvaluationPlan
from jobs.runtime import cli, cluster, table_run
from jobs.runtime.table_run import TableRun
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.reports import html
from rupantara.stages.measure import MeasureMethods
from rupantara.storage import checkpoints, manifest, plan, uris
from rupantara.storage.manifest import Manifest

DEFAULT = Config(faces=cli.REQUIRED, metrics=cli.REQUIRED)
TIMEOUT_S = 3600


def plan_of(config: Config) -> EvaluationPlan:
    """Plan by what is given."""
    if bool(config.checkpoint) == bool(config.generated):
        raise UserError("give either --checkpoint or --generated, what is evaluated")
    if config.generated:
        return generated.plan(config)
    if config.features:
        return inversion.plan(config)
    alone = len(config.checkpoint) == 1 and checkpoints.model_type(config.checkpoint[0]) == loading.MODEL_TYPE
    return reconstruction.plan(config) if alone else comparison.plan(config)


def prepare(plan: EvaluationPlan) -> dict[str, Any]:
    """Fit the baselines in one Ray task, and wait for it."""
    cluster.connect()
    return ray.get(ray.remote(_call).options(num_cpus=1).remote(plan.prepare), timeout=TIMEOUT_S)


def _call(prepare: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call what is given: Ray takes functions for tasks, and no partial ones."""
    return prepare()


def make_stage(plan: EvaluationPlan, *, compute: Compute) -> MeasureMethods:
    """Build the stage on a worker."""
    return MeasureMethods(plan.make_trial, plan.judges, plan.shown, plan.make_measures, threads=compute.threads)


def reported(config: Config, plan: EvaluationPlan, _: Manifest) -> list[str]:
    """Write the report, print the main table, and clear the baselines."""
    if plan.baselines:
        uris.delete(plan.baselines)
    report = uris.join(config.metrics, "report.html")
    uris.write_bytes(report, html.render(plan.title, [plan.section(config.metrics)]))
    for row in (plan.header, *plan.rows_of(config.metrics)) if plan.rows_of else ():
        print("| " + " | ".join(map(str, row)) + " |")
    return [f"report: {report}"]


def build(config: Config) -> TableRun:
    """Plan one part for each file of the table that is read."""
    wanted = plan_of(config)
    return TableRun(
        output=config.metrics,
        schema="metrics",
        recipe=wanted.recipe,
        plan=plan.of_files(wanted.table, manifest.require(wanted.table, wanted.schema_name)),
        make_stage=partial(make_stage, wanted),
        columns=wanted.columns,
        computes=True,
        prepare=partial(prepare, wanted),
        report=partial(reported, config, wanted),
        told=f"{wanted.title}: {wanted.said}",
    )


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))
