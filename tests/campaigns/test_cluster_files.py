"""The files of docs/cluster are what Ray, KubeRay, Slurm and Theoros take: each is held against what exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray.scripts.scripts
import typer.main
import yaml
from ray.runtime_env import RuntimeEnv

from tests.campaigns.clusters import Family, free_ports, head_options
from theoros.db import Store
from theoros.oracles.resources import parse_memory
from theoros.orchestrator.cli.app import app
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers.cluster import Node, demand, plan_slots

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs" / "cluster"
PROGRAMS = {"ray": ray.scripts.scripts.cli, "theoros": typer.main.get_command(app)}
#: What is read from the environment, and by whom: a name that is misspelt in a file would be silently without effect.
READ = {"THEOROS_DATABASE", "THEOROS_SPOOL", "THEOROS_ARTIFACTS", "RAY_JOB_STOP_WAIT_TIME_S"}
#: Fields of KubeRay's API (ray-operator/apis/ray/v1, rayjob_types.go and raycluster_types.go of release 1.5).
JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint", "entrypointNumCpus",
    "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata", "rayClusterSpec", "runtimeEnvYAML",
    "shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend",
    "ttlSecondsAfterFinished",
}  # fmt: skip
CLUSTER_FIELDS = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs",
}  # fmt: skip
GROUP_FIELDS = {
    "groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams", "replicas",
    "scaleStrategy", "suspend", "template",
}  # fmt: skip


def parse(command: list[str]) -> dict[str, Any]:
    """What a program understands of a command, without running it. An option that it does not have is an error."""
    name, arguments = command[0], command[1:]
    program = PROGRAMS[name]
    while hasattr(program, "commands"):
        name, arguments = arguments[0], arguments[1:]
        program = program.commands[name]
    with program.make_context(name, list(arguments)) as context:
        return dict(context.params)


def commands(text: str) -> list[list[str]]:
    """The commands of ray and theoros in a shell script, with 1 for every variable."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*$", "", text, flags=re.M))
    text = re.sub(r"\$\{?\w+(:-[^}]*)?\}?", "1", text)
    found = re.findall(r"(?:^|\s)((?:ray|theoros) [a-z][^&|;>\n]*)", text)
    return [shlex.split(command, comments=True) for command in found]


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all((FILES / "rayjob.yaml").read_text())}


@pytest.fixture(scope="module")
def job(documents) -> dict[str, Any]:
    return documents["RayJob"]["spec"]


@pytest.fixture(scope="module")
def groups(job) -> dict[str, dict[str, Any]]:
    """Groups of pods by name; the head is one."""
    cluster = job["rayClusterSpec"]
    return {"head": cluster["headGroupSpec"]} | {group["groupName"]: group for group in cluster["workerGroupSpecs"]}


def container(group: dict[str, Any]) -> dict[str, Any]:
    (one,) = group["template"]["spec"]["containers"]
    return one


def node(name: str, group: dict[str, Any]) -> Node:
    """The node that Ray makes of a pod: of its limits, unless the parameters of `ray start` say otherwise."""
    limits, parameters = container(group)["resources"]["limits"], group["rayStartParams"]
    resources = {
        "CPU": float(parameters.get("num-cpus", limits["cpu"])),
        "GPU": float(limits.get("nvidia.com/gpu", 0)),
        "memory": float(parse_memory(f"{limits['memory']}B")),
    }
    custom = json.loads(json.loads(parameters.get("resources", '"{}"')))  # in quotes twice: it goes through a shell
    return Node(name, resources | custom)


# -- ray job submit -----------------------------------------------------------------------------------------------


def test_ray_takes_the_runtime_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((FILES / "runtime-env.yaml").read_text())
    assert set(content) <= RuntimeEnv.known_fields
    assert RuntimeEnv(**content)["working_dir"] == "."
    assert set(content["env_vars"]) <= READ


def test_nothing_secret_is_where_ray_shows_it(job):
    for text in ((FILES / "runtime-env.yaml").read_text(), job["runtimeEnvYAML"], job["entrypoint"]):
        assert "://" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def test_the_documented_commands_are_understood():
    blocks = re.findall(r"^```(?:bash|console)?\n(.*?)^```$", (ROOT / "docs" / "cluster.md").read_text(), re.M | re.S)
    found = [command for block in blocks for command in commands(block)]
    for command in found:
        parse(command)
    (submit,) = (parse(command) for command in found if command[:3] == ["ray", "job", "submit"])
    assert (submit["submission_id"], submit["entrypoint_num_cpus"]) == ("my-campaign", 1.0)
    assert parse(list(submit["entrypoint"]))["file"] == Path("campaign.yaml")


# -- KubeRay ------------------------------------------------------------------------------------------------------


def test_every_field_is_one_of_kuberay(job, groups):
    assert set(job) <= JOB_FIELDS
    assert set(job["rayClusterSpec"]) <= CLUSTER_FIELDS
    for group in groups.values():
        assert set(group) <= GROUP_FIELDS
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        start = [f"--{option}={value}" for option, value in group["rayStartParams"].items() if option != "resources"]
        parse(["ray", "start", *start])
    RuntimeEnv(**yaml.safe_load(job["runtimeEnvYAML"]))


def test_the_job_its_submission_and_the_campaign_have_one_name(documents, job):
    campaign = yaml.safe_load(documents["ConfigMap"]["data"]["campaign.yaml"])
    names = {one["metadata"]["name"] for one in documents.values()}
    assert names | {job["jobId"], campaign["campaign"]} == {"my-campaign"}


def test_the_entrypoint_runs_the_campaign_that_is_mounted_on_every_worker(documents, job, groups):
    file = parse(shlex.split(job["entrypoint"]))["file"]
    assert file.name in documents["ConfigMap"]["data"]
    for name in ("oracles", "models"):
        mounts = {mount["name"]: mount["mountPath"] for mount in container(groups[name])["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in groups[name]["template"]["spec"]["volumes"]}
        assert mounts["campaign"] == str(file.parent)
        assert volumes["campaign"]["configMap"]["name"] == documents["ConfigMap"]["metadata"]["name"]
        claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
        assert claim == documents["PersistentVolumeClaim"]["metadata"]["name"]


def test_only_the_orchestrator_is_told_where_the_database_is(groups):
    environments = {name: container(group).get("env", []) for name, group in groups.items()}
    (database,) = (one for one in environments["models"] if one["name"] == "THEOROS_DATABASE")
    assert "secretKeyRef" in database["valueFrom"]
    assert {one["name"] for one in environments["models"]} <= READ
    assert environments["head"] == environments["oracles"] == []


def test_every_role_has_its_place(documents, job, groups):
    """All slots on the oracles' pods, and everything else beside each other on the models' pod, nothing on the head."""
    spec = spec_from_dict(yaml.safe_load(documents["ConfigMap"]["data"]["campaign.yaml"]))
    slot = resolve(spec, ROOT).resources
    nodes = [node(name, group) for name, group in groups.items() for _ in range(group.get("replicas", 1))]
    assert plan_slots(nodes, slot, None) == plan_slots([n for n in nodes if n.address == "oracles"], slot, None) == 16
    assert nodes[0].resources["CPU"] == 0

    orchestrator = {"CPU": job["entrypointNumCpus"], **json.loads(job["entrypointResources"])}
    left = dict(node("models", groups["models"]).resources)
    for wanted in (orchestrator, demand(spec.workers.trainer), demand(spec.workers.decider)):
        for name, amount in wanted.items():
            left[name] = left.get(name, 0.0) - amount
    assert min(left.values()) >= 0, left
    assert "orchestrator" not in node("oracles", groups["oracles"]).resources


def test_ray_has_one_version_everywhere(job, groups):
    (pinned,) = re.findall(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert job["rayClusterSpec"]["rayVersion"] == pinned
    dockerfile = (FILES / "Dockerfile").read_text()
    assert f"FROM rayproject/ray:{pinned}-py311\n" in dockerfile
    (image,) = {container(group)["image"] for group in groups.values()}
    assert f"--tag {image} " in dockerfile


def test_the_image_installs_what_there_is():
    import tomllib

    (extras,) = re.findall(r"theoros\[([a-z,]+)\]", (FILES / "Dockerfile").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


# -- Slurm --------------------------------------------------------------------------------------------------------

#: Stand-ins for Slurm: two nodes, which are both this machine.
SCONTROL = """#!/bin/bash
[[ "$1 $2" == "show hostnames" ]] && printf '127.0.0.1\\nanother\\n'
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
if [[ " $* " == *" --head "* ]]; then exec "$@" $HEAD_OPTIONS; fi
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a Slurm job on two nodes of two processors."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"scontrol": SCONTROL, "srun": SRUN}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    family = Family(tmp_path, {})
    family.environment |= {
        "PATH": f"{programs}{os.pathsep}{family.environment['PATH']}",
        "HEAD_OPTIONS": shlex.join(word for option in head_options().items() for word in option),
        "RAY_PORT": str(free_ports(1)[0]),
        "SLURM_JOB_NODELIST": "nodes[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "2",
        "THEOROS_DATABASE": str(tmp_path / "t.db"),
    }
    yield family.environment
    family.kill()


def test_the_slurm_script_runs_a_campaign_on_all_nodes(slurm, tmp_path):
    content = {
        "campaign": "slurm",
        "question": {"minimize": "value"},
        "oracle": {"synthetic": {"function": "Branin", "delay": "1 s", "resources": {"num_cpus": 1}}},
        "budget": {"labels": 48},
    }
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(content))
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            ["bash", FILES / "slurm.sh"],
            cwd=tmp_path,
            env=slurm,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=600,
        )
    assert done.returncode == 0, (tmp_path / "log").read_text()
    with Store(tmp_path / "t.db", read_only=True) as store:
        assert store.campaign("slurm").state == "finished"
        assert set(store.attempts("slurm")["worker"]) == {f"slot-{i}" for i in range(4)}, "two nodes of two processors"


def test_every_command_of_the_slurm_script_is_understood():
    text = (FILES / "slurm.sh").read_text()
    assert [command[:2] for command in commands(text)] == [
        ["ray", "get-auth-token"],
        ["ray", "start"],
        ["ray", "health-check"],
        ["ray", "start"],
        ["theoros", "run"],
    ]
    for command in commands(text):
        parse(command)
