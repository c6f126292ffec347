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


def test_kubernetes_runs_the_ray_that_is_pinned_on_a_head_without_work():
    cluster = yaml.safe_load((REPOSITORY / "deploy/raycluster.yaml").read_text())["spec"]
    lock = (REPOSITORY / "requirements.lock").read_text()
    assert f"\nray=={cluster['rayVersion']}\n" in lock
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["authOptions"]["mode"] == "token" and cluster["enableInTreeAutoscaling"] is True
    groups = {g["groupName"]: g for g in cluster["workerGroupSpecs"]}
    for group in groups.values():
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["envFrom"] and container["image"].startswith("rupantara:")
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    (gpu,) = groups["gpu"]["template"]["spec"]["containers"]
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_kubernetes_job_names_a_job_and_the_cluster():
    job = yaml.safe_load((REPOSITORY / "deploy/rayjob.yaml").read_text())["spec"]
    cluster = yaml.safe_load((REPOSITORY / "deploy/raycluster.yaml").read_text())
    assert job["clusterSelector"]["ray.io/cluster"] == cluster["metadata"]["name"]
    assert not job.get("backoffLimit"), "KubeRay refuses a backoffLimit beside a clusterSelector"
    module = job["entrypoint"].split()[2]
    assert (REPOSITORY / (module.replace(".", "/") + ".py")).exists()


def test_the_image_holds_every_folder_that_a_job_imports():
    copied = [
        line.split()[1] for line in (REPOSITORY / "deploy/Dockerfile").read_text().splitlines() if line[:5] == "COPY "
    ]
    assert {"rupantara", "jobs", "actors", "serve", "pretrained"} <= set(copied)
    assert all((REPOSITORY / name).exists() for name in copied if "$" not in name)
