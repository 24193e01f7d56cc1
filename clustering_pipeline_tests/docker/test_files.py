"""The files of docker/: an image without secrets and without root, commands and settings that are
there, and what Kubernetes, Dagster's launcher and its chart understand.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from clustering_pipeline.cli import app
from clustering_pipeline.settings.layers import SettingsLayer
from clustering_pipeline.settings.pipeline import resolve

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
SECRET = re.compile(r"(?i)(password|secret|token|api_?key)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What is in the image besides the scripts of our own dependencies.
OF_THE_BASE = ("python",)
# Of an extra that tests need not have.
OF_EXTRAS = ("ray",)


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage by its name, after those of the stage it is made of."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.split()
            found[name] = [*found.get(base, [])]
        elif name:
            found[name].append((word, rest))
    return found


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_is_not_root_s_and_says_whether_it_is_well(target: str):
    made = stages()[target]
    assert [rest for word, rest in made if word == "USER"][-1] == "10001:10001"
    assert [rest for word, rest in made if word == "HEALTHCHECK"]
    assert any(word == "COPY" and rest.startswith("LICENSE THIRD_PARTY.md ") for word, rest in made)
    assert ("COPY", f"--from=build-{target} /opt/venv /opt/venv") in made
    commands = [rest for word, rest in made if word in ("CMD", "ENTRYPOINT")]
    assert all(command.startswith("[") for command in commands)


def test_the_last_target_is_the_one_without_a_gpu():
    assert list(stages())[-1] == "cpu"


def test_no_secret_goes_into_a_layer():
    for word, rest in instructions():
        assert word != "ADD"
        if word in ("ENV", "ARG", "LABEL"):
            assert not SECRET.search(rest), rest
    assert not any(
        "pip install" in rest and "--no-cache-dir" not in rest for _, rest in instructions()
    )


def test_what_is_copied_is_there_and_reaches_the_builder():
    let_in = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for word, rest in instructions():
        if word != "COPY" or "--from=" in rest:
            continue
        *sources, _ = [part for part in rest.split() if not part.startswith("--")]
        for source in (source.removeprefix("./") for source in sources):
            assert (ROOT / source).exists(), source
            assert source in let_in
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_extras_of_the_image_are_those_of_the_package():
    named = {extra for _, rest in instructions() for extra in re.findall(r"--extra (\S+)", rest)}
    assert named <= set(PROJECT["optional-dependencies"])
    assert {"postgres", "s3", "ray", "kubernetes", "models", "gpu"} == named


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return read


def scripts() -> set[str]:
    return {script.name for script in entry_points(group="console_scripts")}


def commands() -> Iterator[list[str]]:
    """Yield every command of the image, of compose and of Kubernetes."""
    for word, rest in instructions():
        if word in ("CMD", "HEALTHCHECK"):
            yield yaml.safe_load(rest[rest.index("[") :])
    for service in compose()["services"].values():
        if service.get("image", "").startswith("clustering-pipeline"):
            yield from ([service["command"]] if "command" in service else [])
            test = service["healthcheck"].get("test") if "healthcheck" in service else None
            yield from [test[1:]] if test else []
    for name in ("pages.yaml", "ray-cluster.yaml"):
        text = (KUBERNETES / name).read_text()
        yield from (yaml.safe_load(found) for found in re.findall(r"command: (\[.*\])", text))


def test_every_command_is_there():
    ours = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for command in commands():
        assert command[0] in scripts() | set(OF_THE_BASE) | set(OF_EXTRAS), command
        if command[0] == "clustering-pipeline":
            assert command[1] in ours


def test_every_service_says_whether_it_is_well():
    for name, service in compose()["services"].items():
        if service.get("healthcheck") != {"disable": True}:
            assert name == "code_location" or service["healthcheck"]["test"], name


def test_the_variables_of_compose_are_told_and_hold_no_secret():
    text = (DOCKER / "compose.yaml").read_text()
    told = set(
        re.findall(r"^#?([A-Z_]+)=", (DOCKER / ".env.example").read_text(), flags=re.MULTILINE)
    )
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) == told
    for service in compose()["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not SECRET.search(name) or str(value).startswith("${"), name
    filled = re.findall(
        r"^([A-Z_]*(?:PASSWORD|TOKEN|KEY))=(.+)$",
        (DOCKER / ".env.example").read_text(),
        re.MULTILINE,
    )
    assert filled == []
    assert "docker/.env" in (ROOT / ".gitignore").read_text().splitlines()


def documents() -> Iterator[dict[str, Any]]:
    for name in ("configuration.yaml", "pages.yaml", "ray-cluster.yaml"):
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def values() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((KUBERNETES / "dagster-values.yaml").read_text())
    return read


def unknown(kind: str, value: Any, path: str) -> Iterator[str]:
    """Yield what Kubernetes' own classes do not know of `value`, which is to be a `kind`."""
    from kubernetes import client

    if kind.startswith("list["):
        assert isinstance(value, list), path
        for number, part in enumerate(value):
            yield from unknown(kind[5:-1], part, f"{path}[{number}]")
    elif kind.startswith("dict("):
        assert isinstance(value, dict), path
    elif hasattr(client, kind):
        model = getattr(client, kind)
        names = {written: name for name, written in model.attribute_map.items()}
        for written, part in value.items():
            if written in names:
                yield from unknown(model.openapi_types[names[written]], part, f"{path}.{written}")
            else:
                yield f"{path}.{written} is nothing that a {kind} has"
    elif kind in ("str", "int", "bool"):
        # A port may be a name or a number.
        expected = {"str": str, "int": int, "bool": bool}[kind]
        if not isinstance(value, expected):
            yield f"{path} is {value!r}, and {kind} is expected"


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents():
        if document["kind"] == "Deployment":
            yield document["metadata"]["name"], document["spec"]["template"]
        if document["kind"] == "RayCluster":
            spec = document["spec"]
            yield "the head of Ray", spec["headGroupSpec"]["template"]
            for group in spec["workerGroupSpecs"]:
                yield group["groupName"], group["template"]


def test_kubernetes_knows_everything_that_is_asked_of_it():
    pytest.importorskip("kubernetes")
    for document in documents():
        if document["kind"] != "RayCluster":
            kind = f"V1{document['kind']}"
            assert list(unknown(kind, document, kind)) == []
    for name, template in pods():
        assert list(unknown("V1PodTemplateSpec", template, name)) == []


def test_no_pod_is_root_s_or_holds_a_secret():
    for name, template in pods():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        mounted = {volume["name"] for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert "env" not in container or not any(
                SECRET.search(variable["name"]) and "value" in variable
                for variable in container["env"]
            )
            assert {mount["name"] for mount in container["volumeMounts"]} <= mounted
            assert container["resources"]["limits"]["memory"]
    text = "\n".join(path.read_text() for path in KUBERNETES.glob("*.yaml"))
    assert not re.search(r"://[^/\s@]+:[^/\s@]+@", text)
    assert not re.search(r"(?im)^\s*(\w*password|token):\s*\S", text)


def test_the_settings_of_the_pods_can_be_read():
    settings = next(found for found in documents() if found["kind"] == "ConfigMap")
    read = resolve([SettingsLayer("pods", yaml.safe_load(settings["data"]["settings.yaml"]))])
    # A pod's own files are gone with it.
    assert read.storage.database is not None and "://" in str(read.storage.root)


# Of the chart's own schema, release 1.13: what a section may have.
CHART = {
    "dagsterDaemon": {
        "enabled", "image", "envSecrets", "volumes", "volumeMounts", "podSecurityContext",
        "securityContext", "resources", "runMonitoring", "runRetries", "sensors", "schedules", "env",
        "envConfigMaps", "heartbeatTolerance", "runCoordinator", "nodeSelector", "tolerations",
    },
    "dagsterWebserver": {
        "image", "service", "podSecurityContext", "securityContext", "resources", "replicaCount",
        "env", "envSecrets", "volumes", "volumeMounts", "workspace", "pathPrefix",
    },
    "postgresql": {
        "enabled", "image", "postgresqlScheme", "postgresqlHost", "postgresqlUsername",
        "postgresqlPassword", "postgresqlDatabase", "postgresqlParams", "service",
    },
    "global": {"dagsterHome", "postgresqlSecretName", "serviceAccountName", "dagsterInstanceConfigMap"},
    "concurrency": {"enabled", "runs", "pools"},
    "retention": {"enabled", "schedule", "sensor", "autoMaterialize"},
    "telemetry": {"enabled"},
    "runLauncher": {"type", "config"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
}  # fmt: skip
DEPLOYMENT = {
    "name", "image", "port", "dagsterApiGrpcArgs", "codeServerArgs", "includeConfigInLaunchedRuns",
    "env", "envConfigMaps", "envSecrets", "annotations", "nodeSelector", "affinity", "tolerations",
    "podSecurityContext", "securityContext", "resources", "livenessProbe", "readinessProbe",
    "startupProbe", "labels", "volumeMounts", "volumes", "schedulerName",
}  # fmt: skip


def test_the_chart_knows_the_values():
    written = values()
    assert set(written) - {"generatePostgresqlPasswordSecret"} <= set(CHART)
    for section, names in CHART.items():
        assert set(written.get(section, {})) <= names, section
    (deployment,) = written["dagster-user-deployments"]["deployments"]
    assert set(deployment) <= DEPLOYMENT
    tag = deployment["image"]["tag"]
    assert tag.startswith(PROJECT["version"])
    assert written["dagsterDaemon"]["image"] == deployment["image"]


def snake(value: Any) -> Any:
    """Return what the chart makes of values for the instance: names as Python has them."""
    if isinstance(value, Mapping):
        return {
            re.sub(r"([A-Z])", r"_\1", name).lower(): snake(part) for name, part in value.items()
        }
    return [snake(part) for part in value] if isinstance(value, list) else value


def test_dagster_s_launcher_takes_the_values():
    launcher = pytest.importorskip("dagster_k8s").K8sRunLauncher
    from dagster import Field, Shape
    from kubernetes import client

    written = values()["runLauncher"]
    assert written["type"] == launcher.__name__
    config = dict(written["config"]["k8sRunLauncher"])
    pod = config.pop("runK8sConfig")
    config["envSecrets"] = [secret["name"] for secret in config["envSecrets"]]
    taken = set(Field(Shape(launcher.config_type())).config_type.fields)
    assert {re.sub(r"([A-Z])", r"_\1", name).lower() for name in config} - {
        "image_pull_policy"
    } <= taken
    assert list(unknown("V1Container", pod["containerConfig"], "container")) == []
    assert list(unknown("V1PodSpec", pod["podSpecConfig"], "pod")) == []
    assert list(unknown("V1JobSpec", pod["jobSpecConfig"], "job")) == []
    assert client.V1JobSpec(template=client.V1PodTemplateSpec(), **snake(pod["jobSpecConfig"]))


def test_runs_on_kubernetes_wait_for_each_other_as_those_of_compose():
    instance = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    written = snake(values()["concurrency"])
    limits = written["runs"]["tag_concurrency_limits"]
    for limit in limits:
        limit["value"] = {
            "applyLimitPerUniqueValue": limit["value"]["apply_limit_per_unique_value"]
        }
    assert written["runs"] == instance["concurrency"]["runs"]
    assert written["pools"] == instance["concurrency"]["pools"]
    monitoring = snake(values()["dagsterDaemon"]["runMonitoring"])
    assert set(monitoring) == set(instance["run_monitoring"])
