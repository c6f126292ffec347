"""Push a checkpoint (region VAE or zoo) to the Hugging Face hub, in one commit; the token is that of `hf auth login` or HF_TOKEN.

python -m jobs.push_to_hub --checkpoint s3://bucket/zoo/plain --repo user/name --private
"""

import hashlib
import importlib.util
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.runtime import cli
from rupantara.errors import MissingError, RefusedError, UserError
from rupantara.generation import loading, zoo_loading
from rupantara.storage import checkpoints, manifest, uris

log = logging.getLogger("jobs")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Push a checkpoint to the Hugging Face hub."""

    checkpoint: cli.Uri
    """Complete checkpoint of jobs.train_vae or jobs.train_zoo."""
    repo: str
    """Repository on the hub, user/name; made if it is not there. One with other weights is refused without --overwrite."""
    private: bool = False
    """Make the repository private (of one that is there already, nothing changes)."""


def contents(uri: str) -> dict[str, bytes]:
    """Read what a complete checkpoint's manifest lists, and it; its weights are checked. Logs, grids and states stay."""
    found = manifest.require(uri, loading.MODEL_TYPE, zoo_loading.MODEL_TYPE)
    checkpoints.read(uri, found.schema)
    names = [*(file.path for file in found.files), manifest.NAME]
    return {name: uris.read_bytes(uris.join(uri, name)) for name in names}


def push(api: Any, config: Config, files: Mapping[str, bytes]) -> str:
    """Push the files in one commit through a `huggingface_hub.HfApi` and return the commit's address."""
    from huggingface_hub import CommitOperationAdd

    api.create_repo(config.repo, private=config.private, repo_type="model", exist_ok=True)
    there = _weights_there(api, config.repo)
    ours = hashlib.sha256(files[checkpoints.WEIGHTS]).hexdigest()
    if there not in ("", ours) and not config.overwrite:
        raise RefusedError(
            f"{config.repo} holds other weights ({there[:12]}, these are {ours[:12]}). Use --overwrite to replace them."
        )
    found = api.create_commit(
        config.repo,
        [CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in files.items()],
        commit_message=f"weights {ours[:12]}",
        repo_type="model",
    )
    return str(found.commit_url)


def _weights_there(api: Any, repo: str) -> str:
    """Return the SHA-256 of the weights that the repository holds, "" when it holds none."""
    for info in api.get_paths_info(repo, [checkpoints.WEIGHTS], repo_type="model"):
        return info.lfs.sha256 if info.lfs else "unknown"
    return ""


def main(config: Config) -> None:
    """Run the job."""
    owner, _, name = config.repo.partition("/")
    if not owner or not name or "/" in name:
        raise UserError(f"--repo must be user/name, got {config.repo!r}")
    files = contents(config.checkpoint)
    if config.dry_run:
        print(f"to {config.repo} ({'private' if config.private else 'public'}), one commit:")
        for file, data in files.items():
            print(f"{len(data):>12} bytes  {file}")
        print(json.loads(files[checkpoints.CONFIG])["model_type"])
        return
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingError("pushing needs the package huggingface_hub: pip install 'rupantara[hub]'")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        log.info("pushed: %s", push(HfApi(), config, files))
    except (HfHubHTTPError, LocalTokenNotFoundError) as error:
        raise UserError(f"the hub refused {config.repo}: {' '.join(str(error).split())}") from error


if __name__ == "__main__":
    required = Config(checkpoint=cli.REQUIRED, repo=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
