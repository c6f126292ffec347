"""What is deployed: the configuration that `serve deploy` and KubeRay read, and the dashboard, name what there is."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import ray
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from rupantara.errors import UserError
from serve.__main__ import end, parse, run
from serve.app import deployed
from serve.auth import is_loopback
from serve.config import Config, Scale
from serve.deployments import Faces
from tests.conftest import REPOSITORY

CONFIG = REPOSITORY / "serve" / "config.yaml"


def test_the_configuration_is_sound_and_has_tokens():
    told = ServeDeploySchema.model_validate(yaml.safe_load(CONFIG.read_text()))
    (application,) = told.applications
    assert application.import_path == "serve.app:build"
    config = Config.model_validate(application.args)
    assert is_loopback(told.http_options.host) or config.tokens


def test_kuberay_gets_the_same_configuration():
    service = yaml.safe_load((REPOSITORY / "deploy" / "rayservice.yaml").read_text())
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == yaml.safe_load(CONFIG.read_text())
    cluster = yaml.safe_load((REPOSITORY / "deploy" / "raycluster.yaml").read_text())["spec"]
    ours = service["spec"]["rayClusterConfig"]
    for key in ("rayVersion", "authOptions", "gcsFaultToleranceOptions", "enableInTreeAutoscaling"):
        assert ours[key] == cluster[key]
    mounted = ours["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"]
    assert yaml.safe_load(CONFIG.read_text())["applications"][0]["args"]["tokens"].startswith(mounted)


def test_the_dashboard_shows_metrics_that_are_declared():
    board = json.loads((REPOSITORY / "deploy" / "grafana.json").read_text())
    shown = set(re.findall(r"ray_(rupantara_\w+?)(?:_bucket|_count|_sum)?\b", json.dumps(board)))
    declared = "".join(path.read_text() for path in (REPOSITORY / "serve").rglob("*.py"))
    assert shown
    for name in shown:
        assert f'"{name}"' in declared, name


def test_make_serve_takes_host_and_port_from_its_command_line_alone():
    def line(*words: str) -> str:
        shown = subprocess.run(
            ["make", "--dry-run", "serve", *words],
            cwd=REPOSITORY,
            env={**os.environ, "HOST": "10.1.2.3"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return shown[shown.index("-m serve ") :]

    assert line().startswith("-m serve host=127.0.0.1 port=8000 tokens= ")
    told = line("HOST=0.0.0.0", "PORT=9000", "TOKENS=/etc/tokens")
    assert told.startswith("-m serve host=0.0.0.0 port=9000 tokens=/etc/tokens ")


def test_make_serve_serves_a_shipped_model_on_every_route():
    made = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", "install", "serve"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    _, _, said = made.stdout.replace("\\\n", " ").partition("-m serve ")
    host, _, config = parse(said.split())
    assert is_loopback(host)
    shipped = REPOSITORY / "pretrained"
    assert config.variations == {"vanilla": str(shipped / "zoo/vanilla")}
    assert config.inversions == {"identity": str(shipped / "inversion/identity")}
    for served in (config.checkpoint, config.bank, config.children, config.edits):
        assert Path(served).is_dir() and shipped in Path(served).parents, served
    size = sum(path.stat().st_size for path in shipped.rglob("*") if path.is_file())
    assert size < 60e6


def test_arguments_of_a_command_line_are_read_and_mistakes_named():
    host, port, config = parse(
        ["port=8123", "checkpoint=x", "variations=plain=a,dfc=b", "tokens=", 'scale={"faces": {"num_cpus": 2}}']
    )
    assert (host, port, config.variations) == ("127.0.0.1", 8123, {"plain": "a", "dfc": "b"})
    assert config.scale_of("faces").num_cpus == 2
    for wrong, said in (("bnak=x", "bnak"), ("port=0", "port"), ("checkpoint", "NAME=VALUE"), ("limits={}x", "limits")):
        with pytest.raises(UserError, match=said):
            parse([wrong])
    with pytest.raises(ValidationError):
        Config.model_validate({"scale": {"hybrid": {}}})


def test_a_scale_reaches_the_autoscaler():
    found = deployed(Scale(max_replicas=3, upscale_delay_s=5, downscale_delay_s=20), Faces, "faces")
    scaling = found._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 3)
    assert (scaling.upscale_delay_s, scaling.downscale_delay_s) == (5, 20)


def test_the_end_says_nothing_of_its_own_and_does_every_step(capsys):
    done = []
    end(lambda: print("Task ServeController.graceful_shutdown failed."), lambda: done.append(1))
    assert (capsys.readouterr().out, done) == ("", [1])


def test_a_ray_that_does_not_start_is_said_in_one_line(monkeypatch, capsys):
    def fails(**_):
        raise Exception("The current node timed out during startup. This could happen because …")

    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(ray, "init", fails)
    assert run("127.0.0.1", 8123, Config()) == 1
    said = capsys.readouterr().err
    assert said.startswith("Ray did not start in time") and said.count("\n") == 1
