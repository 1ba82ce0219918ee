"""A project: one folder with a song's stems, mixes, snapshots, prints, measurements and reports."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from controller import effect_files, partials
from controller.audiofile import AudioFacts, AudioReader, probe, scan
from controller.errors import AudioFileError, MixError, ProjectError, StorageError
from controller.events import Done, Emit, Finding, Progress, Started, silent
from controller.files import content_hash, relative, storage_errors, sync_folder, write_new
from controller.mix import Mix, Strip, load_mix, mix_numbers, save_new_mix
from controller.partials import recover_prints
from controller.stems import Stem, StemReader, find_stems, strip_names
from controller.tomlfile import decode, line_of, nearest, read_toml
from controller.wav import Bext, WavWriter

__all__ = ["Project", "Stem", "StemReader", "create_project", "open_project", "recover_prints"]

SCHEMA = 1
FILE = "project.toml"
RATES_HZ = range(44_100, 192_001)
JOB = "new"

_FOLDERS = ("stems", "mixes", "prints", "snapshots", "measurements", "reports")
_BLOCK_FRAMES = 65_536


class _ProjectFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int
    title: str
    rate_hz: int
    rig: str


@dataclass(frozen=True)
class Project:
    """An opened project. Nothing in it changes by opening it, except that killed passes are recovered."""

    root: Path
    title: str
    rate_hz: int
    rig: str
    stems: tuple[Stem, ...]

    @property
    def frames(self) -> int:
        """Length of the longest stem [frames]."""
        return max(stem.frames for stem in self.stems)

    @property
    def mixes(self) -> Path:
        """The folder of mixes."""
        return self.root / "mixes"

    @property
    def prints(self) -> Path:
        """The folder of prints."""
        return self.root / "prints"

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots."""
        return self.root / "snapshots"

    @property
    def measurements(self) -> Path:
        """The folder of measurements."""
        return self.root / "measurements"

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.root / "reports"

    def stem(self, ref: str) -> Stem:
        """Return the stem whose file name, or else whose name, is ``ref``.

        Raises
        ------
        ProjectError
            There is none; names the nearest.
        """
        for stem in (*(s for s in self.stems if s.file == ref), *(s for s in self.stems if s.name == ref)):
            return stem
        near = nearest(ref, [stem.file for stem in self.stems])
        raise ProjectError(f'{relative(self.root / "stems")} has no stem "{ref}"{near}')

    def mix_names(self) -> list[str]:
        """Return the names of the mix files, without suffix: ``mix-N`` by number, then the others."""
        numbered = [f"mix-{number}" for number in mix_numbers(self.mixes)]
        return numbered + sorted({path.stem for path in self.mixes.glob("*.toml")} - set(numbered))

    def mix(self, name: str | None = None) -> Mix:
        """Read a mix by name, with or without ``.toml``; left out, the ``mix-N`` of the highest number.

        Raises
        ------
        ProjectError
            There is no such mix, or no way to tell which is meant.
        MixError
            The file says something impossible, or names a stem or a file of an effect that is not there.
        """
        path = self._mix_path(name)
        mix = load_mix(path)
        files = [stem.file for stem in self.stems]
        for index, strip in enumerate(mix.strips):
            if strip.stem not in files:
                line = line_of(path.read_text("utf-8-sig"), ("strip", index, "stem"))
                raise MixError(
                    f'{relative(path)}, line {line}: strip "{strip.name}": stem = "{strip.stem}" is not in the '
                    f"folder stems{nearest(strip.stem, files)}"
                )
        for key, error in effect_files.check(mix, self.root):
            line = line_of(path.read_text("utf-8-sig"), key)
            raise MixError(f"{relative(path)}, line {line}: {key[-1]} = {error}", hint=error.hint) from error
        return mix

    def _mix_path(self, name: str | None) -> Path:
        names = self.mix_names()
        if not names:
            raise ProjectError(f"{relative(self.mixes)} holds no mix")
        if name is not None:
            bare = name.removesuffix(".toml")
            if bare not in names:
                raise ProjectError(f'{relative(self.mixes)} has no mix "{name}"{nearest(bare, names)}')
            return self.mixes / f"{bare}.toml"
        numbers = mix_numbers(self.mixes)
        if not numbers and len(names) > 1:
            raise ProjectError(
                f"{relative(self.mixes)} holds several mixes and none is numbered: {', '.join(names)}",
                hint="Say which one is meant.",
            )
        return self.mixes / (f"mix-{numbers[-1]}.toml" if numbers else f"{names[0]}.toml")

    def claim_print(self, facts: Mapping[str, Any] | None = None) -> tuple[int, Path]:
        """Take the next print number; return it and where to record, a file that does not exist yet.

        From here to :meth:`release_print` a killed program leaves a recording that the next opening recovers.
        ``facts`` go into the journal and so into a recovered print's provenance.

        Raises
        ------
        DiskFullError, ReadOnlyError, StorageError
            Nothing was written.
        """
        return partials.begin_partial(self.prints, facts or {})

    def release_print(self, number: int) -> None:
        """Remove the recording and the journal of print ``number``, once the print and its provenance are there."""
        partials.end_partial(self.prints, number)


def open_project(folder: Path, *, emit: Emit = silent) -> Project:
    """Open a project, and recover what killed passes left in it (said through ``emit``).

    Raises
    ------
    ProjectError
        No project there, damaged, of a newer version, or without stems; a stem has another rate than the project.
    AudioFileError
        A stem is damaged.
    StorageError
        It cannot be read.
    """
    root = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would lose the name people know it by
    file = root / FILE
    if not file.is_file():
        raise ProjectError(
            f"there is no project at {relative(root)} (no {FILE})", hint="Make one: halfnormal new PROJECT --stems DIR"
        )
    raw, text = read_toml(file, kind="project", schema=SCHEMA, error=ProjectError)
    facts = decode(raw, _ProjectFile, path=file, text=text, error=ProjectError, synonyms={"rate": "rate_hz"})
    _check_rate(facts.rate_hz, f"{relative(file)}: rate_hz = ")
    audio, _ = find_stems(root / "stems")
    if not audio:
        raise ProjectError(f"{relative(root / 'stems')} holds no audio file", hint="Put the stems back, or start anew.")
    stems: list[Stem] = []
    for path, name in zip(audio, strip_names(audio), strict=True):
        found = _stem_facts(path, probe)
        if found.rate_hz != facts.rate_hz:
            raise ProjectError(
                f"{relative(path)} is at {found.rate_hz} Hz, the project at {facts.rate_hz} Hz",
                hint="Make the project anew from the stems: it resamples them.",
            )
        stems.append(Stem(name, path, found.channels, found.frames, found.rate_hz))
    project = Project(root, facts.title, facts.rate_hz, facts.rig, tuple(stems))
    try:
        recover_prints(project, emit)
    except StorageError as error:
        emit(Finding(relative(project.prints), f"a killed pass could not be recovered: {error}", error.hint, "warning"))
    return project


def create_project(
    folder: Path, *, stems: Path, rig: str = "demo", rate_hz: int | None = None, emit: Emit = silent
) -> Project:
    """Make a project from the audio files in the folder ``stems``, with a first mix: unity faders, stereo wide.

    Every stem is read to its end first. Stems at the project's rate (``rate_hz`` [Hz], or that of most stems)
    are copied bit by bit; others are resampled to 32-bit float, and that is said. The project appears whole or
    not at all.

    Raises
    ------
    ProjectError
        ``folder`` exists already; no stems; a rate outside 44 100..192 000 Hz.
    AudioFileError
        A stem is damaged, or neither mono nor stereo.
    DiskFullError, ReadOnlyError, StorageError
        Nothing was written.
    """
    root = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would lose the name people know it by
    if root.exists():
        what = "a project" if (root / FILE).exists() else "something"
        raise ProjectError(
            f"there is {what} at {relative(root)} already, and nothing is overwritten", hint="Choose another name."
        )
    sources = _check_sources(stems, emit)
    chosen = rate_hz if rate_hz is not None else _common_rate(sources)
    _check_rate(chosen, "a project runs at " if rate_hz is None else "--rate ")
    with _built_aside(root) as building:
        for name in _FOLDERS:
            (building / name).mkdir()
        names = _fill_stems(building / "stems", sources, chosen, emit)
        settings = {"schema": SCHEMA, "title": root.name, "rate_hz": chosen, "rig": rig}
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        write_new(building / FILE, "# A project of Halfnormal: one song.\n\n" + "\n".join(lines) + "\n")
        strips = [Strip(name=name, stem=file) for name, file in zip(strip_names(map(Path, names)), names, strict=True)]
        save_new_mix(Mix(name="mix 1", strips=tuple(strips)), building / "mixes")
    project = open_project(root)
    emit(Done(JOB, f"{relative(root)}: {len(project.stems)} stems at {chosen} Hz", _as_data(project)))
    return project


def _check_sources(folder: Path, emit: Emit) -> list[AudioFacts]:
    files, others = find_stems(folder)
    if not files:
        rest = f" ({len(others)} other files or folders are there)" if others else ""
        raise ProjectError(
            f"{relative(folder)} holds no audio files{rest}", hint="Stems are WAV, RF64, AIFF or FLAC files."
        )
    for other in others:
        emit(Finding(relative(other), "left out: not a WAV, RF64, AIFF or FLAC file"))
    emit(Started(JOB, f"checking {len(files)} stems"))
    sources: list[AudioFacts] = []
    for index, file in enumerate(files):
        emit(Progress(JOB, 0.5 * index / len(files), detail=f"checking {_printable(file.name)}"))
        sources.append(_stem_facts(file, scan))
    return sources


def _stem_facts(path: Path, read: Any) -> AudioFacts:
    if _printable(path.name) != path.name:
        raise AudioFileError(f'the file name "{_printable(path.name)}" is not valid Unicode', hint="Rename the file.")
    facts: AudioFacts = read(path)
    if facts.channels > 2:
        raise AudioFileError(
            f"{relative(path)} has {facts.channels} channels, and a stem is mono or stereo",
            hint="Export its channels as files of their own.",
        )
    return facts


def _common_rate(sources: Sequence[AudioFacts]) -> int:
    counted = Counter(facts.rate_hz for facts in sources)
    return max(counted, key=lambda rate: (counted[rate], rate))


def _check_rate(rate_hz: int, said: str) -> None:
    if rate_hz not in RATES_HZ:
        raise ProjectError(
            f"{said}{rate_hz} Hz is outside {RATES_HZ[0]}..{RATES_HZ[-1]} Hz", hint="Choose a rate, such as 48000."
        )


@contextlib.contextmanager
def _built_aside(root: Path) -> Iterator[Path]:
    missing = [parent for parent in root.parents if not parent.exists()]
    building = root.with_name(f".{root.name}.{secrets.token_hex(4)}.new")
    try:
        with storage_errors(root):
            building.mkdir(parents=True)
            yield building
            building.rename(root)
            sync_folder(root.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _fill_stems(folder: Path, sources: Sequence[AudioFacts], rate_hz: int, emit: Emit) -> list[str]:
    taken = {facts.path.name.casefold() for facts in sources if facts.rate_hz == rate_hz}
    for index, facts in enumerate(sources):
        done = 0.5 + 0.5 * index / len(sources)
        if facts.rate_hz == rate_hz:
            emit(Progress(JOB, done, detail=f"copying {facts.path.name}"))
            _copy(facts.path, folder / facts.path.name)
            continue
        name = _free_name(facts.path.stem, taken)
        taken.add(name.casefold())
        emit(Progress(JOB, done, detail=f"resampling {facts.path.name}"))
        _resample(facts, folder / name, rate_hz)
        emit(
            Finding(
                relative(facts.path),
                f"resampled from {facts.rate_hz} to {rate_hz} Hz (soxr VHQ, 32-bit float) as {name}",
                severity="note",
            )
        )
    return [path.name for path in find_stems(folder)[0]]


def _free_name(stem: str, taken: set[str]) -> str:
    name, number = f"{stem}.wav", 2
    while name.casefold() in taken:
        name, number = f"{stem} {number}.wav", number + 1
    return name


def _copy(source: Path, target: Path) -> None:
    with storage_errors(target), source.open("rb") as reading, target.open("xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    if content_hash(source) != content_hash(target):
        raise StorageError(f"the copy of {relative(source)} differs from it", hint="Check both disks.")


def _resample(facts: AudioFacts, target: Path, rate_hz: int) -> None:
    from dsp.resample import Resampler

    words = f"{facts.path.name}, resampled from {facts.rate_hz} to {rate_hz} Hz"
    mode = "mono" if facts.channels == 1 else "stereo"
    history = f"A=PCM,F={rate_hz},W=32,M={mode},T=soxr VHQ from {facts.rate_hz} Hz\r\n"
    bext = Bext(description=words, coding_history=history)
    resampler = Resampler(facts.rate_hz, rate_hz, channels=facts.channels)
    with (
        AudioReader(facts.path) as reader,
        WavWriter(target, rate_hz=rate_hz, channels=facts.channels, subtype="FLOAT", bext=bext) as writer,
    ):
        while reader.position < facts.frames:
            block = reader.read(_BLOCK_FRAMES)
            writer.write(resampler.process(block, last=reader.position >= facts.frames))


def _as_data(project: Project) -> dict[str, Any]:
    stems = [
        {
            "name": stem.name,
            "file": relative(stem.path),
            "channels": stem.channels,
            "frames": stem.frames,
            "rate_hz": stem.rate_hz,
        }
        for stem in project.stems
    ]
    mix = project.mixes / f"{project.mix_names()[0]}.toml"
    return {"project": relative(project.root), "stems": stems, "mix": relative(mix)}


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
