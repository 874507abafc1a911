"""Make .venv from the hashed locks: `python3 scripts/install.py run|dev`.

Needs the standard library only, and parses on Python 3.6, so that an old Python gets one clear
line and not a syntax error. A stamp in .venv, keyed on what was installed, skips it next time.
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
OLDEST = (3, 11)
LOCKS = {
    "run": ("requirements.lock", "requirements-sample.lock"),
    "dev": (
        "requirements.lock",
        "requirements-postgres.lock",
        "requirements-s3.lock",
        "requirements-dask.lock",
        "requirements-sample.lock",
        "requirements-dev.lock",
    ),
}
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
FROM_LOCK = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement")
PROJECT = ("--no-deps", "--no-build-isolation", "--editable", ".")
PROJECT_FILES = ("setup.cfg", "pyproject.toml")


def main(arguments):
    if not arguments or arguments[0] not in LOCKS or arguments[1:] not in ([], ["--check"]):
        sys.exit("usage: python3 scripts/install.py run|dev [--check]")
    if arguments[1:]:
        sys.exit(not is_installed(arguments[0]))
    complaint = what_is_missing()
    if complaint:
        sys.exit("install: " + complaint)
    alone = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(alone, fcntl.LOCK_EX)
    if not venv_is_good():
        make_venv()
    for name, options, inputs in steps(arguments[0]):
        install(name, options, inputs)


def is_installed(what):
    """By the stamps alone; asked of .venv's own Python, which so runs."""
    return all(read(stamp_of(inputs)) == digest(inputs) for _, _, inputs in steps(what))


def steps(what):
    """What to install one after the other: its name, pip's options, the files that decide."""
    for lock in LOCKS[what]:
        yield lock, FROM_LOCK + (lock,), [lock]
    yield "the project", PROJECT, PROJECT_FILES


def what_is_missing():
    """What this machine lacks, as one line; None when nothing."""
    version = platform.python_version()
    if sys.version_info < OLDEST:
        return f"this is Python {version} ({sys.executable}), 3.11 or newer is needed"
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        return "runs on Linux on x86_64 or aarch64 only"
    return missing_library()


def missing_library():
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < (2, 28):
        found = f"{library or 'another C library'} {version}"
        return f"glibc 2.28 or newer is needed, this machine has {found}"
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return "libgomp.so.1 is missing, LightGBM needs it: apt-get install libgomp1"
    return None


def missing_ensurepip():
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian leaves it out of python3
        import venv  # noqa: F401, PLC0415
    except ImportError:
        package = "python{}.{}-venv".format(*sys.version_info)
        return f"{sys.executable} can't make a virtual environment: apt-get install {package}"
    return None


def venv_is_good():
    """Its Python runs, is new enough and has pip."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return os.path.exists(PYTHON) and quiet([PYTHON, "-c", check]) == 0


def make_venv():
    complaint = missing_ensurepip()
    if complaint:
        sys.exit("install: " + complaint)
    print(f"install: making .venv with Python {platform.python_version()}", flush=True)
    if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV]) != 0:
        sys.exit(f"install: {sys.executable} -m venv failed, see above")


def install(name, options, inputs):
    stamp = stamp_of(inputs)
    key = digest(inputs)
    if read(stamp) == key:
        return
    print(f"install: {name}", flush=True)
    if subprocess.call([PYTHON, *PIP, *options], cwd=ROOT) != 0:
        sys.exit(f"install: {name} couldn't be installed, see above")
    with open(stamp, "w", encoding="ascii") as file:
        file.write(key)


def stamp_of(inputs):
    return os.path.join(VENV, ".installed-" + os.path.basename(inputs[0]))


def digest(inputs):
    """A hash of what is installed, of where it is and for which Python."""
    whole = hashlib.sha256((ROOT + os.path.realpath(PYTHON)).encode())
    for name in inputs:
        with open(os.path.join(ROOT, name), "rb") as file:
            whole.update(file.read())
    return whole.hexdigest()


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return None


def quiet(command):
    with open(os.devnull, "w") as nowhere:
        try:
            return subprocess.call(command, stdout=nowhere, stderr=nowhere)
        except OSError:
            return 1


if __name__ == "__main__":
    main(sys.argv[1:])
