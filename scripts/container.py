"""Build and run the container image: `python3 scripts/container.py build|run`.

With Docker where its daemon answers, else with podman, which needs none, as any user. The base
image under podman is a Debian that mmdebstrap puts together from the machine's own apt sources:
neither a registry nor root is needed. Standard library only; settings are variables (SETTINGS).
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Empty ones count as unset. BASE_IMAGE and DEBIAN_MIRROR have no default.
SETTINGS = {
    "IMAGE": "ml-engine-platform",
    "MLENGINE_NAME": "mlengine",
    "BIND": "127.0.0.1",
    "PORT": "8000",
    "DEBIAN_SUITE": "bookworm",
    "CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
}
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates,libgomp1"
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:mode=1777"),  # noqa: S108 - inside
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
)
APP = "/app"
NO_ENGINE = (
    "no container engine: Docker's daemon doesn't answer, and podman isn't installed "
    "(apt-get install podman runc mmdebstrap uidmap)"
)


def main(arguments: Sequence[str]) -> None:
    commands = {"build": build, "run": run}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.exit("usage: python3 scripts/container.py build|run")
    commands[arguments[0]](os.environ)


def build(environment: Mapping[str, str], folder: Path = ROOT) -> None:
    """Build the image of `folder`; ends this process where that fails."""
    engine = find_engine()
    base = environment.get("BASE_IMAGE") or (
        base_image(engine, environment) if podman(engine) else ""
    )
    command = [*engine, "build", "--tag", setting(environment, "IMAGE")]
    if base:
        command += ["--build-arg", f"BASE_IMAGE={base}"]
    if podman(engine):  # the format that has health checks
        command += ["--format", "docker", "--network", "host", *ulimits()]
        command += ca_mount(setting(environment, "CA_BUNDLE"))
    call([*command, str(folder)])


def run(environment: Mapping[str, str]) -> None:
    """Become the platform in a container, on the volume or the folder of its artifacts."""
    command = run_command(find_engine(), environment)
    os.execvp(command[0], command)  # noqa: S606 - a list, no shell


def run_command(engine: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    command = [*engine, "run", "--rm", "--name", setting(environment, "MLENGINE_NAME"), *HARDENED]
    command += [*ulimits(), *health_checks(engine), "--env-file", ".env", "--env", "ARTIFACTS_DIR="]
    command += network(engine, environment) + mounts(engine, environment)
    return [*command, setting(environment, "IMAGE")]


def setting(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or SETTINGS[name]


def find_engine() -> list[str]:
    """The program to call and its own options; ends this process where there is none."""
    if shutil.which("docker") and succeeds(["docker", "info"]):
        return ["docker"]
    if not shutil.which("podman"):
        sys.exit(NO_ENGINE)
    # Without root, podman 4 copies the whole file system for each layer; crun refuses some cgroups.
    layers = ["--storage-driver", "overlay"] if os.geteuid() else []
    return ["podman", *layers, *(["--runtime", "runc"] if shutil.which("runc") else [])]


def podman(engine: Sequence[str]) -> bool:
    return engine[0] == "podman"


def ulimits() -> list[str]:
    """Ones that may be set without CAP_SYS_RESOURCE, which podman's own defaults may not."""
    options = []
    for name, kind, most in (
        ("nofile", resource.RLIMIT_NOFILE, 65_536),
        ("nproc", resource.RLIMIT_NPROC, 4096),
    ):
        _, hard = resource.getrlimit(kind)
        limit = most if hard == resource.RLIM_INFINITY else min(hard, most)
        options += ["--ulimit", f"{name}={limit}:{limit}"]
    return options


def health_checks(engine: Sequence[str]) -> list[str]:
    """Podman runs them by timers of systemd, and complains where there is none."""
    lacking = podman(engine) and not Path("/run/systemd/system").exists()
    return ["--no-healthcheck"] if lacking else []


def network(engine: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Where it listens. Podman takes the host's network: an ordinary user often has no other."""
    bind, port = setting(environment, "BIND"), setting(environment, "PORT")
    if podman(engine):
        return ["--network", "host", "--env", f"HOST={bind}", "--env", f"PORT={port}"]
    return ["--publish", f"{bind}:{port}:8000", "--env", "HOST=0.0.0.0", "--env", "PORT=8000"]


def mounts(engine: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The artifacts, and read-only what the user brings: prices and feature modules."""
    options = artifacts(engine, environment)
    for name, variable in (("PRICES", "MARKET_DATA_DIR"), ("FEATURES", None)):
        if folder := environment.get(name):
            target = f"{APP}/{name.lower()}"
            options += ["--volume", f"{existing(folder)}:{target}:ro"]
            options += ["--env", f"{variable}={target}"] if variable else []
    return options


def artifacts(engine: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """A volume of the container's name; or a folder, written as the one whom it belongs to."""
    if not (name := environment.get("ARTIFACTS")):
        return ["--volume", f"{setting(environment, 'MLENGINE_NAME')}-artifacts:{APP}/artifacts"]
    folder = existing(name)
    owner = folder.stat()
    if owner.st_uid == 0:
        sys.exit(f"{folder} belongs to root, who doesn't run it: chown -R 10001:10001 {folder}")
    options = ["--volume", f"{folder}:{APP}/artifacts", "--user", f"{owner.st_uid}:{owner.st_gid}"]
    return options + (["--userns", "keep-id"] if podman(engine) and os.geteuid() else [])


def existing(folder: str) -> Path:
    path = Path(folder).resolve()
    if not path.is_dir():
        sys.exit(f"{path} is no folder")
    return path


def ca_mount(bundle: str) -> list[str]:
    """The machine's certificates while building; they don't stay in the image."""
    if not Path(bundle).is_file():
        return []
    return ["--volume", f"{Path(bundle).resolve()}:{SETTINGS['CA_BUNDLE']}:ro"]


def base_image(engine: Sequence[str], environment: Mapping[str, str]) -> str:
    """A minimal Debian with Python, of this month, so that its security updates are."""
    suite = setting(environment, "DEBIAN_SUITE")
    month = f"{datetime.now(UTC):%Y-%m}"
    image = f"localhost/mlengine-base:{suite}-{month}"
    if not succeeds([*engine, "image", "exists", image]):
        archive = cache_folder() / f"base-{suite}-{month}.tar"
        if not archive.exists():
            bootstrap(archive, suite, environment)
        call([*engine, "import", "--quiet", str(archive), image])
    return image


def cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(cache) if cache else Path.home() / ".cache") / "mlengine"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bootstrap(archive: Path, suite: str, environment: Mapping[str, str]) -> None:
    """Make the file system of the base image, whole or not at all."""
    if not shutil.which("mmdebstrap"):
        sys.exit("the base image needs mmdebstrap (apt-get install mmdebstrap), or set BASE_IMAGE")
    mirror = environment.get("DEBIAN_MIRROR")
    sources = [f"deb {mirror} {suite} main"] if mirror else apt_sources(suite)
    staged = archive.with_name(f"{os.getpid()}-{archive.name}")
    try:
        call(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
            + [suite, str(staged), *sources]
        )
        staged.rename(archive)
    finally:
        staged.unlink(missing_ok=True)


def apt_sources(suite: str) -> list[str]:
    """What this machine's apt has of the suite, security included; empty takes Debian's own."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"]
        + ["Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    names = {suite, f"{suite}-updates", f"{suite}-security"}
    return [line for line in targets if line.split()[2] in names and line.split()[3] == "main"]


def call(command: Sequence[str]) -> None:
    try:
        code = subprocess.call(command)
    except KeyboardInterrupt:
        code = 130
    if code:
        sys.exit(f"`{' '.join(command[:3])} …` failed ({code}), see above")


def succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1:])
