"""The scripts and files that a fresh machine meets first."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mlengine.config.env_file import write_env_file_and_report

ROOT = Path(__file__).parent.parent


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_installer_parses_on_python_3_6_and_annotates_nothing() -> None:
    tree = ast.parse((ROOT / "scripts" / "install.py").read_text(), feature_version=(3, 6))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AnnAssign)
        assert not isinstance(node, ast.arg) or node.annotation is None
        assert not isinstance(node, ast.ImportFrom)


def test_the_installer_imports_the_standard_library_only() -> None:
    tree = ast.parse((ROOT / "scripts" / "install.py").read_text())
    names = [
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    ]
    assert set(names) <= sys.stdlib_module_names


def test_a_python_that_is_too_old_gets_one_line() -> None:
    install = _script("install")
    install.OLDEST = (99, 0)
    complaint = install.what_is_missing()
    assert complaint.startswith("this is Python 3.")
    assert "\n" not in complaint


def test_this_machine_lacks_nothing() -> None:
    assert _script("install").what_is_missing() is None


def test_another_lock_is_another_stamp(tmp_path: Path) -> None:
    install = _script("install")
    install.ROOT = str(tmp_path)
    (tmp_path / "requirements.lock").write_text("one==1")
    before = install.digest(["requirements.lock"])
    assert before == install.digest(["requirements.lock"])
    (tmp_path / "requirements.lock").write_text("one==2")
    assert before != install.digest(["requirements.lock"])


def test_what_is_stamped_is_not_installed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install = _script("install")
    install.ROOT = install.VENV = str(tmp_path)
    install.PYTHON = "/bin/true"
    (tmp_path / "requirements.lock").write_text("one==1")
    install.install("the runtime", (), ["requirements.lock"])
    install.install("the runtime", (), ["requirements.lock"])
    assert capsys.readouterr().out == "install: the runtime\n"


def test_nothing_is_to_do_once_every_stamp_is_there(tmp_path: Path) -> None:
    install = _script("install")
    install.ROOT = install.VENV = str(tmp_path)
    install.PYTHON = "/bin/true"
    for name in {name for _, _, inputs in install.steps("dev") for name in inputs}:
        (tmp_path / name).write_text(name)
    assert not install.is_installed("run")
    for name, options, inputs in install.steps("run"):
        install.install(name, options, inputs)
    assert install.is_installed("run")
    assert not install.is_installed("dev")
    (tmp_path / "requirements.lock").write_text("changed")
    assert not install.is_installed("run")


def test_a_virtual_environment_on_another_python_is_installed_anew(tmp_path: Path) -> None:
    install = _script("install")
    install.ROOT = str(tmp_path)
    (tmp_path / "requirements.lock").write_text("one==1")
    install.PYTHON = "/bin/true"
    before = install.digest(["requirements.lock"])
    install.PYTHON = "/bin/false"
    assert before != install.digest(["requirements.lock"])


def test_the_container_listens_where_it_is_published_whatever_the_env_file_says() -> None:
    container = _script("container")
    command = container.run_command(["docker"], {"PORT": "8001"})
    assert command.index("--env-file") < command.index("HOST=0.0.0.0") < command.index("PORT=8000")
    assert "127.0.0.1:8001:8000" in command
    assert "0.0.0.0:8001:8000" in container.run_command(
        ["docker"], {"PORT": "8001", "BIND": "0.0.0.0"}
    )
    command = container.run_command(["podman"], {})
    assert command.index(".env") < command.index("HOST=127.0.0.1") < command.index("PORT=8000")


def test_the_container_is_built_first_and_writes_as_the_user_who_runs_it(tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().partition("docker-run:")[2]
    assert recipe.startswith(" docker-build ")
    container = _script("container")
    assert "mlengine-artifacts:/app/artifacts" in container.run_command(["docker"], {})
    os.chown(tmp_path, 1234 if os.geteuid() == 0 else -1, -1)
    owner = tmp_path.stat()
    command = container.run_command(["docker"], {"ARTIFACTS": str(tmp_path)})
    assert f"{tmp_path}:/app/artifacts" in command
    assert f"{owner.st_uid}:{owner.st_gid}" in command
    with pytest.raises(SystemExit, match="belongs to root"):
        container.run_command(["docker"], {"ARTIFACTS": "/"})
    assert "required: false" in (ROOT / "compose.yaml").read_text()


def test_the_container_can_write_nothing_but_its_artifacts_and_gains_no_rights(
    tmp_path: Path,
) -> None:
    brought = {"PRICES": str(tmp_path), "FEATURES": str(tmp_path)}
    command = _script("container").run_command(["podman"], brought)
    line = " ".join(command)
    assert " --read-only " in line
    assert " --cap-drop all --security-opt no-new-privileges " in line
    assert f"{tmp_path}:/app/prices:ro --env MARKET_DATA_DIR=/app/prices " in line
    assert f"{tmp_path}:/app/features:ro " in line
    compose = (ROOT / "compose.yaml").read_text()
    for word in ("read_only: true", "- ALL", "- no-new-privileges", '- "127.0.0.1:'):
        assert word in compose


def test_a_folder_that_is_not_there_is_not_mounted(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is no folder"):
        _script("container").run_command(["docker"], {"PRICES": str(tmp_path / "missing")})


def test_an_installation_that_fails_is_not_stamped(tmp_path: Path) -> None:
    install = _script("install")
    install.ROOT = install.VENV = str(tmp_path)
    install.PYTHON = "/bin/false"
    (tmp_path / "requirements.lock").write_text("one==1")
    with pytest.raises(SystemExit, match="couldn't be installed"):
        install.install("the runtime", (), ["requirements.lock"])
    assert [each.name for each in tmp_path.iterdir()] == ["requirements.lock"]


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.13").symlink_to(sys.executable)
    broken.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find_python.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "python3.13\n"


def test_a_machine_without_python_is_told_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find_python.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no Python found: install Python 3.11 or newer\n"


def test_a_missing_env_file_is_written_once_with_a_random_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLASK_SKIP_DOTENV")
    reports = [write_env_file_and_report(tmp_path)]
    written = (tmp_path / ".env").read_text()
    reports += [write_env_file_and_report(tmp_path)]
    live = [line for line in written.splitlines() if line and not line.startswith("#")]
    assert live[0] == "ENV=development"
    assert re.fullmatch(r"ADMIN_API_KEY=[A-Za-z0-9_-]{43}", live[1])
    assert len(live) == 2
    assert (tmp_path / ".env").read_text() == written
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [str(report).partition(";")[0] for report in reports] == [
        "wrote .env with a random ADMIN_API_KEY",
        "None",
    ]
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_an_admin_key_in_the_environment_needs_no_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLASK_SKIP_DOTENV")
    monkeypatch.setenv("ADMIN_API_KEY", "")
    assert write_env_file_and_report(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_docker_run_writes_the_env_file_with_any_python(tmp_path: Path) -> None:
    (command,) = re.findall(r'"\$\$python" (src/\S+);', (ROOT / "Makefile").read_text())
    for _ in range(2):
        subprocess.run([sys.executable, "-I", "-S", ROOT / command], cwd=tmp_path, check=True)
    assert "\nADMIN_API_KEY=" in (tmp_path / ".env").read_text()


def test_a_folder_that_can_not_hold_an_env_file_gets_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLASK_SKIP_DOTENV")
    report = write_env_file_and_report(tmp_path / "missing")
    assert report is not None
    assert "can't be written (No such file or directory)" in report
    assert "\n" not in report


def test_the_locks_hold_hashes_and_no_address() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        pins = re.findall(r"^[a-z0-9][^ =]*==\S+", text, re.MULTILINE)
        assert pins
        assert len(re.findall(r" \\\n    --hash=", text)) >= len(pins)
    assert re.search(r"^setuptools==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def test_make_help_lists_every_target() -> None:
    output = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in (
        *("help", "install", "run", "train", "test", "sure", "soak", "format", "lock"),
        *("wheel", "docker-build", "docker-run", "docker-test", "sbom"),
    ):
        assert re.search(rf"^  make {target} +\S", output, re.MULTILINE)


def test_the_image_runs_the_supervisor_without_root_and_with_a_health_check() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    assert lines[0] == "ARG BASE_IMAGE=python:3.12-slim"
    assert "USER 10001:10001" in lines
    assert "WORKDIR /app" in lines
    assert lines[-2:] == ['ENTRYPOINT ["python", "-m", "mlengine"]', 'CMD ["up"]']
    assert any(line.startswith("HEALTHCHECK ") and "/health" in line for line in lines)
    assert any("libgomp1" in line for line in lines)
    assert any("--require-hashes" in line and "requirements-sample.lock" in line for line in lines)


def test_the_entry_files_are_short() -> None:
    for name in ("wsgi.py", "worker.py", "gunicorn.conf.py"):
        assert len((ROOT / name).read_text().splitlines()) < 20


def test_the_scripts_can_be_executed() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
