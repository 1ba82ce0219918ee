"""The set-up: honest about what is missing, never half done, and quick the second time. Nothing is installed here."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)((?:.|\n)*?)(?=^[a-z0-9#]|\Z)", re.MULTILINE)


@pytest.fixture
def bootstrap(monkeypatch, tmp_path) -> ModuleType:
    """The script as a module, at home in a copy of what it reads; whatever would install something fails the test."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", ROOT / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "lock").mkdir()
    for name in ("build.txt", "midi.txt", "runtime.txt", "dev.txt"):
        (tmp_path / "lock" / name).write_text(f"# {name}\n")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "halfnormal.json")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "bin" / "python")

    def forbidden(*arguments: Any, **_: Any) -> None:
        pytest.fail(f"this would have run {arguments}")

    for name in ("run", "call", "Popen"):
        monkeypatch.setattr(module.subprocess, name, forbidden)
    monkeypatch.setattr(module, "apt_prefix", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    return module


def finish(bootstrap: ModuleType, *kinds: str) -> None:
    """Leave behind what a complete set-up leaves."""
    bootstrap.PYTHON.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.PYTHON.write_text("")
    bootstrap.STAMP.write_text(json.dumps({kind: bootstrap.digest(kind) for kind in kinds}))


def requirements(name: str) -> dict[str, str]:
    """Pins of a lock file: the name with its marker, to version and hashes."""
    text = (ROOT / "lock" / name).read_text(encoding="utf-8")
    return {f"{found[1]}=={found[2]}": found[3] for found in PIN.finditer(text)}


def test_a_python_too_old_for_us_can_still_read_the_script():
    ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    ("system", "advice"), [("darwin", "brew install python@3.12"), ("linux", "python3.11 or newer, with its venv")]
)
def test_an_old_python_is_told_what_is_needed(bootstrap, monkeypatch, system, advice):
    monkeypatch.setattr(bootstrap.sys, "platform", system)
    monkeypatch.setattr(bootstrap, "WINDOWS", False)
    sentence = bootstrap.old_python_sentence((3, 9, 6), "")
    assert "needs Python 3.11 or newer; this is Python 3.9" in sentence
    assert advice in sentence
    assert "with python3.12" in bootstrap.old_python_sentence((3, 9, 6), "python3.12")


@pytest.mark.parametrize("name", ["build.txt", "midi.txt", "runtime.txt", "dev.txt"])
def test_every_locked_package_has_hashes_and_no_trace_of_the_machine_that_locked_it(name):
    text = (ROOT / "lock" / name).read_text(encoding="utf-8")
    assert requirements(name)
    assert all("--hash=sha256:" in hashes for hashes in requirements(name).values())
    assert "://" not in text
    assert "-index" not in text
    assert not re.search(r"[ =](/|[A-Z]:\\)", text)


def test_the_lock_holds_every_dependency_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["room"]]
    names = {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in wanted}
    locked = {pin.split("==")[0] for pin in (*requirements("runtime.txt"), *requirements("midi.txt"))}
    assert names <= locked
    developers = {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in project["dependency-groups"]["dev"]}
    assert developers <= {pin.split("==")[0] for pin in requirements("dev.txt")}


def test_the_developers_environment_has_the_very_versions_that_users_get():
    assert set(requirements("runtime.txt")) <= set(requirements("dev.txt"))


def test_a_complete_environment_is_used_as_it_is(bootstrap):
    finish(bootstrap, "runtime")
    bootstrap.prepare("runtime")


def test_the_developers_environment_serves_users_too(bootstrap):
    finish(bootstrap, "dev")
    bootstrap.prepare("runtime")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"runtime": "another digest"}'])
def test_an_environment_with_a_wrong_stamp_does_not_count(bootstrap, damage):
    finish(bootstrap, "runtime")
    bootstrap.STAMP.write_text(damage)
    assert bootstrap.stamps().get("runtime") != bootstrap.digest("runtime")


def test_an_environment_whose_python_is_gone_does_not_count(bootstrap):
    finish(bootstrap, "runtime")
    bootstrap.PYTHON.unlink()
    assert bootstrap.stamps() == {}


def test_a_changed_lock_or_dependency_asks_for_a_new_set_up_and_a_changed_lint_rule_does_not(bootstrap):
    before = bootstrap.digest("runtime")
    (bootstrap.LOCK / "dev.txt").write_text("# newer\n")
    project = bootstrap.ROOT / "pyproject.toml"
    project.write_text(project.read_text().replace("line-length = 120", "line-length = 119"))
    assert bootstrap.digest("runtime") == before
    project.write_text(project.read_text().replace("mido>=1.3", "mido>=1.4"))
    changed = bootstrap.digest("runtime")
    assert changed != before
    (bootstrap.LOCK / "runtime.txt").write_text("# newer\n")
    assert bootstrap.digest("runtime") not in {before, changed}


@pytest.fixture
def empty_environment(bootstrap, monkeypatch) -> ModuleType:
    """A machine on which Python can make environments, and does so by making the folder."""

    def make(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        bootstrap.PYTHON.parent.mkdir(parents=True, exist_ok=True)
        bootstrap.PYTHON.write_text("")
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(bootstrap.subprocess, "run", make)
    monkeypatch.setattr(bootstrap, "can_import", lambda module: True)
    return bootstrap


def test_a_set_up_interrupted_anywhere_never_looks_complete(empty_environment, monkeypatch):
    for steps_before in range(4):
        finish(empty_environment, "dev")
        (empty_environment.LOCK / "runtime.txt").write_text(f"# {steps_before}\n")
        left = iter([None] * steps_before)

        def fetch(pip: list[str], arguments: list[str], *, what: str, left: Any = left) -> None:
            next(left)

        monkeypatch.setattr(empty_environment, "fetch", fetch)
        with pytest.raises(StopIteration):
            empty_environment.prepare("dev")
        assert empty_environment.stamps() == {}


def test_a_set_up_installs_only_what_the_lock_names(empty_environment, monkeypatch):
    fetched = []
    monkeypatch.setattr(empty_environment, "fetch", lambda pip, arguments, what: fetched.append(arguments))
    empty_environment.prepare("dev")
    assert [arguments for arguments in fetched if "--require-hashes" not in arguments] == [
        ["--no-deps", "--no-build-isolation", "--no-index", "-e", str(empty_environment.ROOT)]
    ]
    assert set(empty_environment.stamps()) == {"runtime", "dev"}


def test_a_machine_that_cannot_build_the_midi_library_gets_everything_else(empty_environment, monkeypatch, capsys):
    def fetch(pip: list[str], arguments: list[str], *, what: str) -> None:
        if any(argument.endswith("midi.txt") for argument in arguments):
            raise empty_environment.SetupError("no ready-made build")

    monkeypatch.setattr(empty_environment, "fetch", fetch)
    empty_environment.prepare("runtime")
    assert "runtime" in empty_environment.stamps()
    assert "Not installed: the MIDI library" in capsys.readouterr().err


def test_a_debian_without_venv_names_the_package_to_install(bootstrap, monkeypatch):
    monkeypatch.setattr(bootstrap, "can_import", lambda module: False)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(bootstrap.SetupError, match=r"sudo apt-get install python3\.\d+-venv"):
        bootstrap.pip_for_environment()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("NewConnectionError(... Temporary failure in name resolution')", "package index cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "differs from the one in lock/"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for numba==0.61", "no ready-made build"),
        ("something\nnobody foresaw", "nobody foresaw"),
    ],
)
def test_a_failed_download_is_explained(bootstrap, said, sentence):
    assert sentence in bootstrap.explain(said)


def test_without_the_real_parts_the_tests_say_what_did_not_run(bootstrap, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "prepare", lambda kind: None)
    monkeypatch.setattr(bootstrap, "succeeds", lambda argv: True)
    monkeypatch.setattr(bootstrap, "missing_parts", lambda midi: ["jackd"])
    monkeypatch.setattr(bootstrap, "check", lambda: True)
    assert bootstrap.main(["test"]) == 0
    assert "NOT RUN" in capsys.readouterr().err


def test_on_a_build_server_a_missing_real_part_is_a_failure(bootstrap, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(bootstrap, "prepare", lambda kind: None)
    monkeypatch.setattr(bootstrap, "succeeds", lambda argv: True)
    monkeypatch.setattr(bootstrap, "missing_parts", lambda midi: ["jackd"])
    assert bootstrap.main(["test"]) != 0
    assert "missing: jackd" in capsys.readouterr().err


def test_a_skipped_test_is_found_and_an_expected_failure_is_not_one(bootstrap, tmp_path):
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="a" name="passes"/>'
        '<testcase classname="a" name="waits"><skipped type="pytest.skip" message="no jackd"/></testcase>'
        '<testcase classname="a" name="known"><skipped type="pytest.xfail" message="bug"/></testcase>'
        "</testsuite></testsuites>"
    )
    assert bootstrap.skipped(report) == ["a::waits: no jackd"]


def test_system_packages_are_left_alone_on_request(monkeypatch):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import bootstrap; print(bootstrap.apt_prefix())"
    monkeypatch.setenv("HALFNORMAL_SYSTEM_PACKAGES", "no")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_an_unknown_command_is_a_usage_error(bootstrap, capsys):
    assert bootstrap.main(["dmeo"]) == 2
    assert "run dmeo" in capsys.readouterr().err


def test_the_build_server_runs_the_readmes_own_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    server = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("python3 bootstrap.py demo", "python3 bootstrap.py test"):
        assert command in readme
        assert command in server
