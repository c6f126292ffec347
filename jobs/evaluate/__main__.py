"""Evaluate on held-out people, beside trivial baselines: a region VAE, VAEs side by side, decoders of vectors, or generated pictures.

    ray job submit --working-dir . -- python -m jobs.evaluate --faces s3://bucket/faces --checkpoint s3://bucket/region_vae \
        --metrics s3://bucket/metrics

What is evaluated is told by what is given: one `--checkpoint` of jobs.train_vae; a folder of jobs.train_decoder with
`--features`; checkpoints of jobs.train_zoo, or several of any VAEs, which are compared; or a `--generated` table.
"""

from jobs.evaluate.run import DEFAULT, main
from jobs.runtime import cli

if __name__ == "__main__":
    cli.run(main, {"default": DEFAULT}, __doc__ or "")
