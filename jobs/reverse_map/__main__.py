"""Reverse mapping: how near is each region of each face to each species, and how sure is that? A table, its statistics and a report.

    ray job submit --working-dir . -- python -m jobs.reverse_map --features s3://bucket/features --bank s3://bucket/bank \
        --affinity s3://bucket/affinity --faces s3://bucket/faces --by sex age
    python -m jobs.reverse_map --photos s3://bucket/photos --bank s3://bucket/bank --affinity s3://bucket/affinity
    python -m jobs.reverse_map report --affinity s3://bucket/affinity --faces s3://bucket/faces    draws the report again

`--of animal --to people --by sex` maps animals to groups of people instead; species against species is in every report.
"""

import sys

from jobs.reverse_map.config import Config
from jobs.reverse_map.report import ReportConfig, draw
from jobs.reverse_map.run import main
from jobs.runtime import cli

if __name__ == "__main__":
    if sys.argv[1:2] == ["report"]:
        sys.argv.pop(1)
        cli.run(draw, {"default": ReportConfig(affinity=cli.REQUIRED)}, __doc__ or "")
    else:
        cli.run(main, {"default": Config(bank=cli.REQUIRED, affinity=cli.REQUIRED)}, __doc__ or "")
