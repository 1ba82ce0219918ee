"""Set Halfnormal up and run it. Needs nothing but Python 3.11 or newer; everything else it fetches or names.

    python3 bootstrap.py demo [options]     the whole line on the virtual room
    python3 bootstrap.py test [pytest …]    every check and every test; with arguments, pytest with just those
    python3 bootstrap.py check              format, lint, types, import floors and the quick tests
    python3 bootstrap.py run [command …]    any halfnormal command; none opens the screen
    python3 bootstrap.py lock [--upgrade]   write lock/ anew from pyproject.toml

Programs live in a private environment, ``.venv`` beside this file; a stamp in it, written last, says it is complete.
On Windows say ``py bootstrap.py demo``.
"""
# This file has to be *read* by Python 3.6 to say what is needed, hence no ``from __future__ import annotations``.

import ctypes.util
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "halfnormal.json"
LOCK = ROOT / "lock"
NEEDED = (3, 11)
WINDOWS = os.name == "nt"
BIN = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = BIN / ("python.exe" if WINDOWS else "python")
NEWER_NAMES = ("python3.12", "python3.13", "python3.11", "python3.14")
APT_REAL = ("jackd2", "libportaudio2")
APT_MIDI_BUILD = ("g++", "pkg-config", "libasound2-dev", "libjack-jackd2-dev")
RESTARTED = "HALFNORMAL_BOOTSTRAP_RESTARTED"


def old_python_sentence(version: "tuple[int, ...]", newer: str) -> str:
    """Say what an older Python lacks and where a newer one comes from."""
    text = "Halfnormal needs Python 3.11 or newer; this is Python {}.{}.".format(*version[:2])
    if newer:
        return text + f" Run the same command with {newer}."
    if sys.platform == "darwin":
        return text + " Install one with: brew install python@3.12 (or from python.org), then open a new terminal."
    if WINDOWS:
        return text + " Install one from python.org or with: winget install Python.Python.3.12"
    return text + " Install one with your system's packages (python3.11 or newer, with its venv package)."


if sys.version_info < NEEDED:
    _found = [name for name in NEWER_NAMES if shutil.which(name)]
    if _found and __name__ == "__main__" and not os.environ.get(RESTARTED):
        os.environ[RESTARTED] = "1"
        sys.exit(subprocess.call([_found[0], *sys.argv]))
    sys.exit(old_python_sentence(sys.version_info[:2], _found[0] if _found else ""))


class SetupError(Exception):
    """Set-up cannot go on; the message says why and what to do."""


def say(text: str) -> None:
    """Print one line of talk on standard error; standard output belongs to the command that is run."""
    print(text, file=sys.stderr, flush=True)


def in_ci() -> bool:
    """Tell whether a build server runs us: there, a missing real part is a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def child_environment() -> "dict[str, str]":
    """Give the environment without the variables that would lead Python or pip out of the private environment."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", RESTARTED}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def succeeds(argv: "list[str]") -> bool:
    """Tell whether a question to another program is answered with exit code 0; it shows nothing."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


# ---------------------------------------------------------------------------------------------- system packages


def apt_prefix() -> "list[str] | None":
    """Give what stands before ``apt-get``: nothing for root, sudo where it asks no password, None where we may not."""
    if WINDOWS or not shutil.which("apt-get") or os.environ.get("HALFNORMAL_SYSTEM_PACKAGES") == "no":
        return None
    if os.geteuid() == 0:
        return ["env", "DEBIAN_FRONTEND=noninteractive"]
    if shutil.which("sudo") and succeeds(["sudo", "-n", "true"]):
        return ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    return None


def apt_install(packages: "tuple[str, ...]") -> bool:
    """Install Debian packages where we may; False when we may not or it failed (the reason has been said)."""
    prefix = apt_prefix()
    if prefix is None:
        return False
    say("Installing system packages: " + " ".join(packages))
    install = [*prefix, "apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    # Old package lists name files that are gone, so a failed attempt is repeated once with fresh lists.
    for argv in (install, [*prefix, "apt-get", "update", "-q"], install):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if argv is install and done.returncode == 0:
            return True
    say("apt-get could not install them:\n" + "\n".join(done.stderr.decode(errors="replace").splitlines()[-3:]))
    return False


def venv_package() -> str:
    """Name the Debian package that carries this Python's ensurepip."""
    return "python{}.{}-venv".format(*sys.version_info[:2])


def can_import(module: str) -> bool:
    """Tell whether this very Python, freshly started, finds ``module``."""
    return succeeds([sys.executable, "-c", f"import {module}"])


def pip_for_environment() -> "list[str]":
    """Make sure an environment with pip can be made; give the pip command that fills it.

    Raises:
        SetupError: neither ensurepip nor a pip that can fill another environment is there.
    """
    own = [str(PYTHON), "-m", "pip"]
    if can_import("venv, ensurepip"):
        return own
    if can_import("venv, pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if apt_install((venv_package(),)) and can_import("venv, ensurepip"):
        return own
    if shutil.which("apt-get"):
        what = f"sudo apt-get install {venv_package()}"
    else:
        what = "your system's package for Python's venv and ensurepip"
    raise SetupError(f"This Python cannot make environments (ensurepip is missing). Install it, then repeat:\n  {what}")


# ------------------------------------------------------------------------------------------ the environment


def digest(kind: str) -> str:
    """Hash what an environment of ``kind`` ("runtime" or "dev") is made of."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sha = hashlib.sha256()
    # Tool settings in pyproject.toml may change without a new set-up; what is installed may not.
    built = {key: project[key] for key in ("build-system", "project")}
    sha.update(json.dumps([built, str(ROOT), sys.version_info[:2], platform.machine(), sys.platform]).encode())
    for name in lock_files(kind):
        sha.update((LOCK / name).read_bytes())
    return sha.hexdigest()


def lock_files(kind: str) -> "tuple[str, ...]":
    """Name the lock files behind an environment of ``kind``."""
    shared = ("build.txt", "midi.txt", "runtime.txt")
    return (*shared, "dev.txt") if kind == "dev" else shared


def stamps() -> "dict[str, str]":
    """Read what the environment says it holds; nothing when it is missing, damaged or was never finished."""
    try:
        held = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) and PYTHON.exists() else {}


def explain(log: str) -> str:
    """Turn the log of a failed pip into one sentence that says what to do; its last lines where none fits."""
    causes = (
        (("No space left on device", "Errno 28"), "The disk is full. Free about 1 GB, then run the same command."),
        (
            ("DO NOT MATCH THE HASHES",),
            "A package differs from the one in lock/: a damaged download or a wrong mirror. Empty the cache with "
            f"'{PYTHON} -m pip cache purge', check your pip settings, then run the same command.",
        ),
        (
            (
                "NewConnectionError",
                "NameResolutionError",
                "name resolution",
                "ConnectTimeout",
                "ProxyError",
                "SSLError",
            ),
            "The package index cannot be reached. The first set-up needs the network (or a mirror set in pip's "
            "configuration); connect, then run the same command. Later runs need no network.",
        ),
        (
            ("ReadTimeout", "IncompleteRead", "Connection broken"),
            "The connection to the package index broke off. Run the same command again.",
        ),
        (
            ("No matching distribution", "subprocess-exited-with-error", "Failed building wheel"),
            "A package has no ready-made build for this Python and machine. Python 3.11 and 3.12 have the most.",
        ),
        (("Permission denied", "Errno 13"), f"{VENV} cannot be written. Check who owns this folder."),
    )
    for signs, sentence in causes:
        if any(sign in log for sign in signs):
            return sentence
    return "What pip said last:\n" + "\n".join("  | " + line for line in log.splitlines()[-6:])


def fetch(pip: "list[str]", arguments: "list[str]", *, what: str) -> None:
    """Run one ``pip install``, showing a line per download.

    Raises:
        SetupError: pip failed.
    """
    options = ["--disable-pip-version-check", "--no-input", "--retries", "3", "--no-warn-script-location"]
    argv = [*pip, "install", *options, *arguments]
    live = sys.stderr.isatty()
    lines: list[str] = []
    process = subprocess.Popen(
        argv,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if live and line.split()[:1] in (["Downloading"], ["Using"], ["Building"], ["Installing"]):
                print(f"\r\x1b[K  {line.strip()[:76]}", end="", file=sys.stderr, flush=True)
    if live:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    with (VENV / "setup.log").open("a", encoding="utf-8") as log:
        log.write("\n".join(lines) + "\n")
    if process.returncode != 0:
        reason = explain("\n".join(lines))
        raise SetupError(f"Could not fetch {what}. {reason}\nWhole log: {VENV / 'setup.log'}")


def fetch_midi(pip: "list[str]", *, build_parts: bool) -> None:
    """Install the MIDI library: ready-made where there is one, else built here, else left out with a word.

    Its releases stop at Python 3.12 for ready-made builds; the virtual room inside the program needs no MIDI port,
    so a machine without a compiler still gets everything else.
    """
    locked = ["--require-hashes", "-r", str(LOCK / "midi.txt")]
    try:
        fetch(pip, ["--only-binary", ":all:", *locked], what="the MIDI library")
        return
    except SetupError as error:
        if "ready-made" not in str(error):
            raise
    if build_parts and not (shutil.which("g++") and (Path("/usr/include/jack/jack.h").exists())):
        apt_install((*APT_MIDI_BUILD, "python{}.{}-dev".format(*sys.version_info[:2])))
    try:
        say("The MIDI library has no ready-made build for this Python; building it …")
        fetch(pip, locked, what="the MIDI library")
    except SetupError:
        say(
            "Not installed: the MIDI library (no ready-made build for Python {}.{}, and it cannot be built here). "
            "Everything on the virtual room inside the program works; real MIDI ports do not. For those use "
            "Python 3.11 or 3.12, or install a C++ compiler, Python's headers and, on Linux, ALSA's and JACK's, and "
            "remove .venv.".format(*sys.version_info[:2])
        )


def prepare(kind: str) -> None:
    """Make the private environment hold everything of ``kind``, unless its stamp says it does.

    Raises:
        SetupError: something is missing that cannot be fetched.
    """
    held = stamps()
    wanted = digest(kind)
    if held.get(kind) == wanted or (kind == "runtime" and held.get("dev") == digest("dev")):
        return
    first = held.get("runtime") != digest("runtime")
    say("Setting up (a few minutes the first time, then never again) …" if first else "Adding the developer's tools …")
    pip = pip_for_environment()
    STAMP.unlink(missing_ok=True)
    if first:
        without = [] if pip[0] == str(PYTHON) else ["--without-pip"]
        argv = [sys.executable, "-m", "venv", "--clear", *without, str(VENV)]
        made = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise SetupError(f"Python could not make the environment {VENV}. {explain(made.stdout + made.stderr)}")
        say("  fetching the signal, audio and screen libraries (about 120 MB) …")
        locked = [part for name in ("build.txt", "runtime.txt") for part in ("-r", str(LOCK / name))]
        fetch(pip, ["--require-hashes", *locked], what="the libraries")
        if kind == "runtime":
            fetch_midi(pip, build_parts=False)
        here = ["--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)]
        fetch(pip, here, what="Halfnormal itself")
        held = {"runtime": digest("runtime")}
    if kind == "dev":
        fetch_midi(pip, build_parts=True)
        fetch(pip, ["--require-hashes", "-r", str(LOCK / "dev.txt")], what="the developer's tools")
        held["dev"] = wanted
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(held), encoding="utf-8")
    part.replace(STAMP)
    say("Set up.")


# -------------------------------------------------------------------------------------------------- commands


def become(argv: "list[str]") -> int:
    """Hand this process over to ``argv``; on Windows run it and pass its exit code on."""
    environment = child_environment()
    if not WINDOWS:
        os.execve(argv[0], argv, environment)  # noqa: S606
    process = subprocess.Popen(argv, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the program got the same Ctrl-C and stops cleanly by itself


def halfnormal(arguments: "list[str]") -> int:
    """Set the runtime up and run the program."""
    prepare("runtime")
    return become([str(BIN / ("halfnormal.exe" if WINDOWS else "halfnormal")), *arguments])


def step(name: str, argv: "list[str]") -> bool:
    """Run one check from the checkout; True when it passed."""
    say(f"── {name}")
    passed = subprocess.call(argv, cwd=str(ROOT), env=child_environment(), stdin=subprocess.DEVNULL) == 0
    if not passed:
        say(f"── {name}: FAILED")
    return passed


def steps_beside(steps: "dict[str, list[str]]") -> "dict[str, bool]":
    """Run checks one after the other while the tests talk: what each said is shown in one piece as it ends."""
    results = {}
    for name, argv in steps.items():
        done = subprocess.run(
            argv,
            cwd=str(ROOT),
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        results[name] = done.returncode == 0
        verdict = "" if results[name] else f"\n── {name}: FAILED"
        say(f"\n── {name}\n{done.stdout.decode(errors='replace').rstrip()}{verdict}")
    return results


def skipped(junit: Path) -> "list[str]":
    """List the tests that a pytest run skipped (expected failures are not skips)."""
    found = []
    for case in ElementTree.parse(junit).getroot().iter("testcase"):  # noqa: S314  pytest wrote it
        mark = case.find("skipped")
        if mark is not None and mark.get("type") != "pytest.xfail":
            found.append(f"{case.get('classname')}::{case.get('name')}: {mark.get('message')}")
    return found


def pytest(name: str, arguments: "list[str]") -> bool:
    """Run pytest on the whole tree; True when it passed. On a build server a skipped test is a failed one."""
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        argv = [str(PYTHON), "-m", "pytest", "-q", "-o", "faulthandler_timeout=300", f"--junitxml={junit}", *arguments]
        passed = step(name, argv)
        left_out = skipped(junit) if in_ci() and junit.exists() else []
    for test in left_out:
        say(f"skipped, which counts as failed here: {test}")
    return passed and not left_out


def check() -> bool:
    """Run every static check and the quick tests; all of them, so that one run shows all that is wrong."""
    workers = str(max(2, min(4, os.cpu_count() or 2)))
    # Once, before the workers: each of them would compile the kernels for itself.
    warmed = step("kernels", [str(PYTHON), "-c", "from controller.warming import warm; warm(lambda event: None)"])
    static = {
        "format": [str(PYTHON), "-m", "ruff", "format", "--check", "."],
        "lint": [str(PYTHON), "-m", "ruff", "check", "."],
        "import floors": [str(BIN / "lint-imports")],
        "types": [str(PYTHON), "-m", "mypy"],
        "types of bootstrap.py": [str(PYTHON), "-m", "mypy", "bootstrap.py"],
    }
    # Alone, each of them leaves the other processors idle.
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(steps_beside, static)
        # Neighbours stay together, so that what a module shares is made once.
        tests = pytest("tests", ["-m", "not real", "-n", workers, "--dist", "worksteal"])
        results = {"kernels": warmed, **running.result(), "tests": tests}
    failed = [name for name, passed in results.items() if not passed]
    say("check: " + (f"FAILED in {', '.join(failed)}" if failed else "all passed"))
    return not failed


def missing_parts(*, midi: bool) -> "list[str]":
    """Name what the tests over real parts need and this machine lacks; ``midi`` tells whether that library is in."""
    lacking = []
    if not shutil.which("jackd"):
        lacking.append("jackd (Debian/Ubuntu: jackd2; macOS: brew install jack)")
    if sys.platform.startswith("linux") and not ctypes.util.find_library("portaudio"):
        lacking.append("PortAudio (Debian/Ubuntu: libportaudio2)")
    if not hasattr(os, "openpty"):
        lacking.append("pseudo-terminals (not on Windows)")
    if not midi:
        lacking.append("the MIDI library python-rtmidi")
    return lacking


def test(arguments: "list[str]") -> int:
    """Set everything up, real parts included where we may, and run all checks and all tests."""
    if missing_parts(midi=True):
        apt_install(APT_REAL)
    prepare("dev")
    if arguments:
        return become([str(PYTHON), "-m", "pytest", *arguments])
    lacking = missing_parts(midi=succeeds([str(PYTHON), "-c", "import rtmidi"]))
    if lacking and in_ci():
        raise SetupError("The tests over real parts cannot run here; missing: " + "; ".join(lacking))
    passed = check()
    if lacking:
        say("NOT RUN: the tests over real parts (pytest -m real). This machine lacks " + "; ".join(lacking) + ".")
    else:
        # They wait for most of their time; a file at a time, for each has a JACK server of its own.
        passed = pytest("tests over real parts", ["-m", "real", "-n", "2", "--dist", "loadfile"]) and passed
    say("test: " + ("all passed" if passed else "FAILED, see above"))
    return 0 if passed else 1


def lock(arguments: "list[str]") -> int:
    """Write the lock files anew from pyproject.toml; ``--upgrade`` moves every pin to the newest allowed."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    midi = [line for line in project["project"]["dependencies"] if line.startswith("python-rtmidi")]
    build = [*project["build-system"]["requires"], "editables"]
    shared = ["--universal", "--python-version=3.11", "--generate-hashes", "--no-config", "--quiet", *arguments]
    shared += ["--custom-compile-command", "python3 bootstrap.py lock", "--no-emit-package", "python-rtmidi"]
    runtime = ["pyproject.toml", "--extra", "room"]
    plan: tuple[tuple[str, list[str], list[str]], ...] = (
        ("build.txt", ["-"], build),
        ("midi.txt", ["-"], midi),
        ("runtime.txt", [*runtime, "-c", "lock/build.txt"], []),
        ("dev.txt", [*runtime, "--group", "dev", "-c", "lock/runtime.txt", "-c", "lock/build.txt"], []),
    )
    with tempfile.TemporaryDirectory() as folder:
        uv = shutil.which("uv")
        if uv is None:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            inside = Path(folder) / BIN.name
            subprocess.run([str(inside / PYTHON.name), "-m", "pip", "install", "-q", "uv"], check=True)
            uv = str(inside / "uv")
        for name, source, piped in plan:
            options = shared[:-2] if name == "midi.txt" else shared
            argv = [uv, "pip", "compile", *source, *options, "-o", f"lock/{name}"]
            feed = "\n".join(piped)
            subprocess.run(argv, cwd=str(ROOT), input=feed, text=True, check=True, stdout=subprocess.DEVNULL)
            say(f"wrote lock/{name}")
    return 0


def main(argv: "list[str]") -> int:
    """Run one command; give its exit code."""
    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(__doc__)
        return 0 if argv else 2
    command, rest = argv[0], argv[1:]
    if command not in {"demo", "test", "check", "run", "lock"}:
        say(f"bootstrap.py knows demo, test, check, run and lock. A command of the program: bootstrap.py run {command}")
        return 2
    if Path(sys.prefix).resolve() == VENV.resolve():
        # Started from inside the environment that may have to be made anew: go on with the Python it came from.
        return subprocess.call([getattr(sys, "_base_executable", sys.executable), str(ROOT / "bootstrap.py"), *argv])
    try:
        if command == "demo":
            return halfnormal(["demo", *rest])
        if command == "run":
            return halfnormal(rest)
        if command == "lock":
            return lock(rest)
        if command == "test":
            return test(rest)
        prepare("dev")
        return 0 if check() else 1
    except SetupError as error:
        say(str(error))
        return 3
    except subprocess.CalledProcessError as error:
        say(f"{Path(error.cmd[0]).name} failed (exit code {error.returncode}); what it said stands above.")
        return 3
    except OSError as error:
        say(f"Set-up stopped: {error}. Nothing is half done: the next run starts that step anew.")
        return 3
    except KeyboardInterrupt:
        say("\nInterrupted. Nothing is half done: the same command starts the set-up anew.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
