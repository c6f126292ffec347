"""Generate pictures in bulk: hybrids of people and animals, children of two parents, faces out of vectors, or variations of faces.

    ray job submit --working-dir . -- python -m jobs.generate hybrid --faces s3://bucket/faces \
        --checkpoint s3://bucket/region_vae --bank s3://bucket/bank --generated s3://bucket/generated

`python -m jobs.generate KIND --help` tells the flags of a kind.
"""

from jobs.generate import child, hybrid, inversion, variation
from jobs.runtime import cli

KINDS = {"child": child, "hybrid": hybrid, "inversion": inversion, "variation": variation}
"""Modules with a `Config` and its `main`."""

if __name__ == "__main__":
    cli.run_kinds({name: (module.DEFAULT, module.main) for name, module in KINDS.items()}, __doc__ or "")
