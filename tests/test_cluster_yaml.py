"""cluster.yaml is valid by Ray's own schema, and its head takes no work."""

import json
from pathlib import Path

import jsonschema
import ray.autoscaler
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CLUSTER = yaml.safe_load((REPOSITORY / "cluster.yaml").read_text())


def test_cluster_is_valid_by_rays_schema():
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(CLUSTER, schema)
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(CLUSTER))


def test_the_head_takes_no_work_and_both_groups_scale():
    types = CLUSTER["available_node_types"]
    assert types[CLUSTER["head_node_type"]]["resources"]["CPU"] == 0
    assert types["gpu"]["resources"]["GPU"] >= 1
    assert types["gpu"]["min_workers"] == 0
    assert sum(t["max_workers"] for t in types.values()) <= CLUSTER["max_workers"]


def test_the_serve_config_is_valid_and_fits_the_builder():
    from ray.serve.schema import ServeDeploySchema

    from serve.app import Settings

    text = yaml.safe_load((REPOSITORY / "serve/config.yaml").read_text())
    deploy = ServeDeploySchema.model_validate(text)
    assert deploy.applications[0].import_path == "serve.app:build"
    Settings.model_validate(deploy.applications[0].args)
