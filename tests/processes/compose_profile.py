"""Services of compose.yaml as processes: each with an address of its own, under its name.

A program for `unshare --net --mount`, by root: the services stand at a bridge of that network, and
each has its own loopback and ports, as containers have. Image, mounts and user are what is left
out. What becomes of them is one JSON object a line on standard output.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
PLATFORM, POSTGRES, SEAWEED, NGINX = "ml-engine-platform", "postgres:", "chrislusf/", "nginx:"
KEY = "a-key-of-thirty-two-letters-or-more"
# What stands in .env of the checkout; its names in `${…}` are read there, too.
ENV_FILE = {
    "POSTGRES_PASSWORD": "s3cret",
    "S3_ACCESS_KEY": "someone",
    "S3_SECRET_KEY": "a-secret-of-some-length",
    "ADMIN_API_KEY": KEY,
    "TRAIN_FIRST": "true",
    "TRAIN_SYMBOLS": "AAPL,IBM",
    "TRAIN_LOOKBACK": "600",
    "TRAIN_CV_FOLDS": "2",
}
SECONDS = 240.0


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=True, text=True, capture_output=True, **options)


def interpolated(value: Any) -> Any:
    """As Compose fills in `${NAME:-default}`."""
    if isinstance(value, dict):
        return {key: interpolated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: ENV_FILE.get(m[1]) or m[2], value)
    return value


def of_dockerfile(instruction: str) -> list[str]:
    """The list in brackets behind it."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.search(rf"^{instruction}[^\[]*(\[.*\])", text, re.MULTILINE)
    assert found, instruction
    return list(json.loads(found[1]))


def binaries(folder: Path) -> Path:
    """The programs of the images under the names that the services call."""
    found = folder / "bin"
    found.mkdir()
    line = re.search(
        r"ln -s /venv/(lib/python3\.\*\S+valkey-server)", (ROOT / "Dockerfile").read_text()
    )
    assert line, "the image has no valkey-server"
    (valkey,) = Path(sys.prefix).glob(line[1])
    (found / "valkey-server").symlink_to(valkey)
    (found / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')  # with its packages
    (found / "python").chmod(0o755)
    (found / "weed").symlink_to(Path(sys.executable).with_name("weed"))
    for program in sorted(Path("/usr/lib/postgresql").glob("*/bin/*")):
        with suppress(FileExistsError):
            (found / program.name).symlink_to(program)
    return found


@dataclass
class Service:
    name: str
    spec: Mapping[str, Any]
    folder: Path
    path: str
    number: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    holder: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def address(self) -> str:
        return f"10.9.0.{10 + self.number}"

    @property
    def image(self) -> str:
        return str(self.spec["image"])

    def connect(self) -> None:
        """A network namespace of its own, at the bridge."""
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        pid, link = str(self.holder.pid), f"v{self.number}"
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{pid}/ns/net") == own:
            time.sleep(0.02)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "link", "set", link, "master", "br0", "up")
        for command in (
            f"ip addr add {self.address}/24 dev eth0",
            "ip link set eth0 up",
            "ip link set lo up",
        ):
            run(*self.within(), *command.split())

    def within(self) -> list[str]:
        assert self.holder is not None
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--"]

    def environ(self) -> dict[str, str]:
        own = {key: str(value) for key, value in self.spec.get("environment", {}).items()}
        if self.image == PLATFORM:
            own = {**ENV_FILE, **own, "ARTIFACTS_DIR": str(self.folder / "artifacts")}
            own |= {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        return {"PATH": self.path, "HOME": str(self.folder), "LANG": "C.UTF-8", **own}

    def command(self) -> list[str]:
        entrypoint, command = self.spec.get("entrypoint"), self.spec.get("command", "")
        arguments = shlex.split(command) if isinstance(command, str) else list(command)
        if self.image == PLATFORM:
            begin = [entrypoint] if entrypoint else of_dockerfile("ENTRYPOINT")
            return [*begin, *arguments]
        if self.image.startswith(SEAWEED):
            here = [each.replace("/data", str(self.folder)) for each in arguments]
            return list(entrypoint) if entrypoint else ["weed", *here]
        assert self.image.startswith(NGINX)
        return ["nginx", "-c", str(nginx_file(self.folder)), "-g", "daemon off;"]

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.connect()
        command = self._postgres() if self.image.startswith(POSTGRES) else self.command()
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [*self.within(), *command],
            env=self.environ(),
            cwd=self.folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )

    def _postgres(self) -> list[str]:
        """As the entrypoint of the image does: the user, its password and its database."""
        names, data = self.spec["environment"], self.folder / "data"
        (password := self.folder / "password").write_text(names["POSTGRES_PASSWORD"])
        for path in (self.folder, password):
            shutil.chown(path, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        initdb = ["initdb", "-D", str(data), "-U", names["POSTGRES_USER"], "-A", "scram-sha-256"]
        options = {"env": self.environ(), "cwd": self.folder}
        run(*as_user, *initdb, f"--pwfile={password}", **options)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        single = ["postgres", "--single", "-D", str(data), "postgres"]
        run(*as_user, *single, input=f"CREATE DATABASE {names['POSTGRES_DB']}\n", **options)
        settings = ["-c", "listen_addresses=*", "-c", f"unix_socket_directories={self.folder}"]
        return [*as_user, "postgres", "-D", str(data), *settings]

    def is_healthy(self) -> bool:
        """By the check of the file, else that of the image."""
        check = self.spec.get("healthcheck", {}).get("test")
        command = list(check[1:]) if check else of_dockerfile("HEALTHCHECK")
        if command[0] == "nc" and shutil.which("nc") is None:  # of the image alone
            host, port = command[-2:]
            code = f"import socket; socket.create_connection(({host!r}, {port}), 2)"
            command = ["python", "-c", code]
        if command[0] == "pg_isready":
            command += ["-h", "127.0.0.1"]  # its socket lies elsewhere
        done = subprocess.run(
            [*self.within(), *command], env=self.environ(), capture_output=True, check=False
        )
        return done.returncode == 0

    def wait_for(self, condition: str) -> None:
        assert self.process is not None
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            code = self.process.poll()
            if condition == "service_completed_successfully":
                if code is not None:
                    assert code == 0, f"{self.name} ended with {code}: {self.log()}"
                    return
            else:
                assert code is None, f"{self.name} ended with {code}: {self.log()}"
                if self.is_healthy():
                    return
            time.sleep(0.5)
        raise AssertionError(f"{self.name} is not {condition}: {self.log()}")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def end(self) -> None:
        for process in (self.process, self.holder):
            if process is not None and process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                if process.poll() is None:
                    process.kill()
                    process.wait()


def nginx_file(folder: Path) -> Path:
    """What the image has around conf.d."""
    conf = ROOT / "deploy/nginx/mlengine.conf"
    path = folder / "nginx.conf"
    path.write_text(
        f"pid {folder}/pid; error_log {folder}/error.log;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"include {conf}; }}\n"
    )
    return path


def in_order(services: Mapping[str, Service], wanted: list[str]) -> list[Service]:
    """Those and what they depend on, each after what it waits for."""
    found: dict[str, Service] = {}

    def add(name: str) -> None:
        for other in services[name].spec.get("depends_on", {}):
            add(other)
        found.setdefault(name, services[name])

    for name in wanted:
        add(name)
    return list(found.values())


def asked(address: str, path: str, *, port: int = 8000) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        body = error.read()
        return error.code, json.loads(body) if body.startswith(b"{") else {}


def eventually_ready(address: str, *, port: int = 8000) -> bool:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if asked(address, "/ready", port=port)[0] == 200:
            return True
        time.sleep(1.0)
    return False


def make_network(services: Mapping[str, Service], folder: Path) -> None:
    """A bridge, and the names of all services in the file of hosts that only these see."""
    for command in (
        "ip link set lo up",
        "ip link add br0 type bridge",
        "ip addr add 10.9.0.1/24 dev br0",
        "ip link set br0 up",
    ):
        run(*command.split())
    names = [f"{each.address} {each.name}" for each in services.values()]
    (hosts := folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *names, ""]))
    run("mount", "--bind", str(hosts), "/etc/hosts")


def start_all(
    services: Mapping[str, Service], wanted: list[str], started: list[Service]
) -> list[Service]:
    """Each after what it depends on, replicas included; returns the web hosts, which are ready."""
    for service in in_order(services, wanted):
        for name, how in service.spec.get("depends_on", {}).items():
            services[name].wait_for(how["condition"])
        started.append(service)
        service.start()
        replicas = service.spec.get("deploy", {}).get("replicas", 1)
        for number in range(1, replicas):
            folder = service.folder.with_name(f"{service.name}-{number}")
            more = replace(service, folder=folder, number=service.number + 20 * number)
            started.append(more)
            more.start()
    webs = [service for service in started if service.spec.get("command") == "web"]
    for web in webs:
        web.wait_for("service_healthy")
        assert eventually_ready(web.address), [each.log() for each in started]
    return webs


def ask_all(services: Mapping[str, Service], webs: list[Service]) -> None:
    tell(predicted=[asked(web.address, "/predict?symbol=AAPL") for web in webs])
    tell(audited=[asked(web.address, "/predictions/recent") for web in webs])
    tell(health=[asked(web.address, "/health") for web in webs])
    proxy = services["proxy"]
    if proxy.process is not None:
        assert eventually_ready(proxy.address, port=80)
        tell(proxied=asked(proxy.address, "/metrics", port=80)[0])
        webs[0].end()
        tell(left=[asked(proxy.address, "/predict?symbol=AAPL", port=80) for _ in range(10)])


def main() -> None:
    folder = Path(sys.argv[1])
    path = os.pathsep.join([str(binaries(folder)), os.environ["PATH"]])
    specs = interpolated(yaml.safe_load(COMPOSE.read_text()))["services"]
    wanted = ["proxy", "worker-ha"] if shutil.which("nginx") else ["web-1", "web-2", "worker-ha"]
    services = {
        name: Service(name, spec, folder / name, path, number)
        for number, (name, spec) in enumerate(specs.items())
    }
    make_network(services, folder)
    started: list[Service] = []
    try:
        webs = start_all(services, wanted, started)
        again = replace(services["bucket"], folder=folder / "again", number=99)
        started.append(again)
        again.start()
        again.wait_for("service_completed_successfully")
        tell(services=[service.name for service in started])
        ask_all(services, webs)
    finally:
        for service in reversed(started):
            service.end()


if __name__ == "__main__":
    main()
