"""Holds the files of this folder to what they promise and to each other. Started by `check`."""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parent
TOP = DEPLOY.parent
SERVER = "/z2api-server"
CHECKS = []


def check(function):
    """Registers a check; its docstring is its name."""
    CHECKS.append(function)
    return function


def same(what, found, wanted):
    assert found == wanted, f"{what}: {found!r}, wanted {wanted!r}"


def more(what, found, than):
    assert found > than, f"{what}: {found}, must be more than {than}"


class NoDuplicates(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{node.start_mark}: twice: {sorted(twice)}"
        return super().construct_mapping(node, deep)


def one(path):
    documents = list(yaml.load_all((DEPLOY / path).read_text("utf-8"), NoDuplicates))
    same(f"documents in {path}", len(documents), 1)
    return documents[0]


def settings():
    """The variables of .env.example with their defaults."""
    found = re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (DEPLOY / ".env.example").read_text("utf-8"), re.M)
    return dict(found)


def drain(given=None):
    """Seconds from SIGTERM to the end of the last request."""
    values = settings() | (given or {})
    return int(values["SHUTDOWN_DELAY"]) + int(values["SHUTDOWN_GRACE"])


def mebibytes(size):
    number, unit = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(size)).groups()
    return int(number) * {"m": 1, "mi": 1, "g": 1024, "gi": 1024}[unit.lower()]


def seconds(span):
    return int(re.fullmatch(r"(\d+)s?", str(span)).group(1))


def instructions():
    """The Dockerfile's instructions, stage by stage."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.M)
    stages = [[]]
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            word, rest = line.split(None, 1)
            if word == "FROM":
                stages.append([])
            stages[-1].append((word, rest))
    return stages


@check
def env_example():
    """.env.example: one setting a line, nothing after a value"""
    for number, line in enumerate((DEPLOY / ".env.example").read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("# "):
            continue
        match = re.fullmatch(r"#?[A-Z][A-Z0-9_]*=(.*)", line)
        assert match, f"line {number} is neither a comment nor a setting: {line!r}"
        # `docker run --env-file` takes all that follows the equals sign as the value.
        assert not re.search(r"\s|#|^[\"']|[\"']$", match.group(1)), f"line {number}: {line!r}"


@check
def dockerfile_image():
    """Dockerfile: the image has no root, no shell, and a health check without one"""
    last = instructions()[-1]
    of = {}
    for word, rest in last:
        of.setdefault(word, []).append(rest)
    same("FROM", of["FROM"], ["scratch"])
    user = of["USER"][-1]
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user), f"USER {user}: must be a number, and not 0"
    (health,) = of["HEALTHCHECK"]
    same("HEALTHCHECK", json.loads(health.split("CMD", 1)[1]), [SERVER, "healthcheck"])
    same("ENTRYPOINT", json.loads(of["ENTRYPOINT"][0]), [SERVER])
    same("EXPOSE", of["EXPOSE"], ["8080"])
    same("STOPSIGNAL", of["STOPSIGNAL"], ["SIGTERM"])
    assert "RUN" not in of and "ADD" not in of and "VOLUME" not in of


@check
def dockerfile_build():
    """Dockerfile: a locked build, for any processor, with the toolchain that the workspace asks for"""
    stages = instructions()
    everything = "\n".join(f"{word} {rest}" for stage in stages for word, rest in stage)
    fixed = re.findall(r"amd64|x86_64|arm64|aarch64|--platform|:latest", everything)
    assert not fixed, f"fixed: {fixed}"
    builds = re.findall(r"cargo build[^&\n]*", everything)
    assert builds and all("--locked" in build for build in builds), builds
    assert "ARG SOURCE_DATE_EPOCH" in everything and "ARG Z2API_COMMIT" in everything
    assert not re.search(r"^(ARG|ENV) .*(KEY|TOKEN|SECRET)", everything, re.M), "a secret in the image"
    manifest = tomllib.loads((TOP / "Cargo.toml").read_text("utf-8"))
    version = re.search(r"ARG RUST_VERSION=(\S+)", everything).group(1)
    wanted = manifest["workspace"]["package"]["rust-version"]
    assert tuple(map(int, version.split("."))) >= tuple(map(int, wanted.split("."))), f"{version} < {wanted}"


@check
def dockerignore():
    """.dockerignore: lets through what the workspace consists of, and no .env"""
    lines = (TOP / ".dockerignore").read_text("utf-8").splitlines()
    manifest = tomllib.loads((TOP / "Cargo.toml").read_text("utf-8"))
    needed = {member.split("/")[0] for member in manifest["workspace"]["members"]}
    for name in sorted(needed | {"Cargo.toml", "Cargo.lock"}):
        assert f"!{name}" in lines, f"{name} is left out"
    assert "*" in lines and "**/.env" in lines


@check
def compose():
    """compose.yaml: no default secret, bounded, and the program's own health check"""
    whole = one("compose.yaml")
    assert "version" not in whole
    (service,) = whole["services"].values()
    assert service["environment"]["DEFAULT_KEY"].startswith("${DEFAULT_KEY:?")
    assert set(service["environment"]) <= set(settings()), "a variable that does not exist"
    same("build context", (DEPLOY / service["build"]["context"]).resolve(), TOP)
    assert (TOP / service["build"]["dockerfile"]).is_file()
    same("env_file", service["env_file"], [{"path": ".env", "required": False}])
    same("health check", service["healthcheck"]["test"], ["CMD", SERVER, "healthcheck"])
    same("read_only", service["read_only"], True)
    same("cap_drop", service["cap_drop"], ["ALL"])
    same("security_opt", service["security_opt"], ["no-new-privileges:true"])
    same("restart", service["restart"], "unless-stopped")
    more("stop_grace_period", seconds(service["stop_grace_period"]), drain())
    more("mem_limit in MiB", mebibytes(service["mem_limit"]), int(settings()["MEMORY_LIMIT_MB"]))
    assert service["cpus"] and service["pids_limit"] and service["ulimits"]["nofile"]["hard"] >= 65536
    assert service["logging"]["options"]["max-size"] and service["logging"]["options"]["max-file"]


@check
def unit():
    """z2api.service: limits that go with the settings"""
    found = {}
    for line in (DEPLOY / "z2api.service").read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    same("Type", found["Type"], ["notify"])
    same("LimitNOFILE", found["LimitNOFILE"], ["65536"])
    same("RestartPreventExitStatus", found["RestartPreventExitStatus"], ["78"])
    same("CapabilityBoundingSet", found["CapabilityBoundingSet"], [""])
    more("TimeoutStopSec", seconds(found["TimeoutStopSec"][0]), drain())
    more("MemoryMax in MiB", mebibytes(found["MemoryMax"][0]), int(settings()["MEMORY_LIMIT_MB"]))


@check
def kubernetes_base():
    """kubernetes: kustomization.yaml names every file, none is a secret, and labels meet selectors"""
    listed = one("kubernetes/kustomization.yaml")["resources"]
    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    same("resources", sorted(listed), sorted(there))
    objects = {path: one(f"kubernetes/{path}") for path in listed}
    assert all(thing["kind"] != "Secret" for thing in objects.values())
    deployment = objects["deployment.yaml"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    same("deployment's selector", deployment["spec"]["selector"]["matchLabels"], labels)
    same("service's selector", objects["service.yaml"]["spec"]["selector"], labels)
    same("budget's selector", objects["pdb.yaml"]["spec"]["selector"]["matchLabels"], labels)
    scaled = objects["hpa.yaml"]["spec"]["scaleTargetRef"]
    same("autoscaler's target", (scaled["kind"], scaled["name"]), ("Deployment", deployment["metadata"]["name"]))
    assert "replicas" not in deployment["spec"], "the autoscaler sets the replicas"
    assert objects["hpa.yaml"]["spec"]["minReplicas"] > 1


@check
def kubernetes_deployment():
    """kubernetes: settings that exist, keys from a secret, a restricted pod, time and memory to spare"""
    given = one("kubernetes/configmap.yaml")["data"]
    pod = one("kubernetes/deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    unknown = (set(given) | set(environment)) - set(settings())
    assert not unknown, f"no such setting: {sorted(unknown)}"
    assert not set(given) & set(environment), "set twice"
    for name in {"DEFAULT_KEY", "UPSTREAM_TOKEN", "ADMIN_KEY"}:
        assert name not in given, f"{name} belongs in a secret"
        assert name not in environment or "secretKeyRef" in environment[name]["valueFrom"]
    assert "DEFAULT_KEY" in environment
    (port,) = container["ports"]
    same("PORT", environment["PORT"]["value"], str(port["containerPort"]))
    for probe, path in [("startup", "live"), ("liveness", "live"), ("readiness", "ready")]:
        same(probe, container[f"{probe}Probe"]["httpGet"], {"path": f"/health/{path}", "port": port["name"]})
    ready = container["readinessProbe"]
    more("SHUTDOWN_DELAY", int(given["SHUTDOWN_DELAY"]), ready["periodSeconds"] * ready["failureThreshold"])
    more("terminationGracePeriodSeconds", pod["terminationGracePeriodSeconds"], drain(given))
    limit = mebibytes(container["resources"]["limits"]["memory"])
    more("memory limit in MiB", limit, int(given["MEMORY_LIMIT_MB"]))
    assert container["resources"]["requests"]["memory"] and container["resources"]["requests"]["cpu"]
    same("runAsNonRoot", pod["securityContext"]["runAsNonRoot"], True)
    same("seccompProfile", pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
    (user,) = [rest for word, rest in instructions()[-1] if word == "USER"]
    same("user", f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}", user)
    same("readOnlyRootFilesystem", container["securityContext"]["readOnlyRootFilesystem"], True)
    same("allowPrivilegeEscalation", container["securityContext"]["allowPrivilegeEscalation"], False)
    same("capabilities", container["securityContext"]["capabilities"], {"drop": ["ALL"]})


@check
def observability():
    """observability: what Compose mounts is there, and lies where it is looked for"""
    services = one("observability/compose.yaml")["services"]
    mounts = {}
    for name, service in services.items():
        bound = [mount.split(":") for mount in service["volumes"] if mount.startswith(".")]
        for source, _, mode in bound:
            assert (DEPLOY / source).exists(), f"{source} of {name} is not there"
            same(f"mode of {source}", mode, "ro")
        mounts[name] = {there: source for source, there, _ in bound}
    (given,) = [word for word in services["prometheus"]["command"] if word.startswith("--config.file=")]
    home = Path(given.split("=", 1)[1]).parent
    config = (DEPLOY / "observability/prometheus.yml").read_text("utf-8")
    named = one("observability/prometheus.yml")["rule_files"] + re.findall(r"_file: (\S+)", config)
    assert len(named) > 2, named
    for name in named:
        looked_for = home / name
        mounted = {str(looked_for), str(looked_for.parent)} & set(mounts["prometheus"])
        assert mounted, f"{name}: nothing is mounted at {looked_for}"
    (provider,) = one("observability/grafana/dashboards.yml")["providers"]
    folders = {str(Path(there).parent) for there in mounts["grafana"]}
    assert provider["options"]["path"] in folders, provider
    (source,) = one("observability/grafana/datasource.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["uid"] in (
        DEPLOY / "observability/grafana/z2api.json"
    ).read_text("utf-8")


def main():
    failed = 0
    for function in CHECKS:
        try:
            function()
            print(f"ok: {function.__doc__}")
        except Exception as problem:
            failed = 1
            where = problem.__traceback__
            while where.tb_next:
                where = where.tb_next
            print(f"FAILED: {function.__doc__}\n    {type(problem).__name__}: {problem} (check.py:{where.tb_lineno})")
    return failed


sys.exit(main())
