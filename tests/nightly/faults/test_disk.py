"""A disk that is full and names that can't be written: one clear line, and nothing lost."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nightly.faults.fault_project import OLD, ROUNDS, Project, one_error
from stage_server import STAGES, start

rounds = pytest.mark.parametrize("round_", range(ROUNDS))
PAGE = 4096  # bytes: what a file of any size takes at least of a tmpfs


@rounds
@pytest.mark.parametrize("stage", STAGES)
def test_files_may_not_grow(project: Project, stage: str, round_: int) -> None:
    """EFBIG, at any size below that of the stage's largest file."""
    draw = random.Random(f"limit {stage} {round_}")
    for limit in (0, draw.randrange(project.largest(stage))):
        project.prepare(stage, draw)
        ended = start(project.server, project.folder, stage, limit=limit).end()
        assert one_error(ended), (limit, ended)
        project.survives("file size limit", stage)


@rounds
@pytest.mark.parametrize("stage", STAGES)
def test_disk_full(project: Project, stage: str, round_: int) -> None:
    """ENOSPC, on a small disk of its own that has any room less than the stage's largest file needs."""
    draw = random.Random(f"full {stage} {round_}")
    room = draw.randrange(-(-project.largest(stage) // PAGE)) * PAGE
    with small_disk(project.folder / "data") as disk:
        project.prepare(stage, draw)
        for name in project.outs[stage]:
            (project.folder / name).unlink(missing_ok=True)
        free = os.statvfs(disk).f_bavail * PAGE
        (disk / "filler").write_bytes(b"\0" * (free - room))
        ended = start(project.server, project.folder, stage).end()
        (disk / "filler").unlink()
        assert one_error(ended) and "No space left" in ended.words, (room, ended)
        project.survives("disk full", stage)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of a few MB with what is in `folder`, mounted over it for a while."""
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, copy)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "unitmean-faults", str(folder)]
    try:
        try:
            subprocess.run(mount, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"only root may mount a disk, and not in every container: {error}")
        try:
            shutil.copytree(copy, folder, dirs_exist_ok=True)
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "index_images"])
def test_a_folder_in_the_way(project: Project, stage: str) -> None:
    """Where a file must be written lies a folder with something in it."""
    for name in project.outs[stage]:
        path = project.folder / name
        if path.parent.name in ("images", "exports", "hub", "transfer"):
            continue  # folders whose contents are replaced as a whole
        path.unlink(missing_ok=True)
        path.mkdir()
        (path / "kept").write_bytes(OLD)
        ended = start(project.server, project.folder, stage).end()
        kept = (path / "kept").read_bytes()
        shutil.rmtree(path)
        assert kept == OLD
        assert one_error(ended) and f"{name!r} must be written" in ended.words, ended
        project.survives("a folder under a final name", stage)
        if ROUNDS == 1:
            break


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
@pytest.mark.parametrize("stage", STAGES)
def test_no_right_to_write(project: Project, stage: str) -> None:
    folders = {(project.folder / name).parent for name in project.outs[stage]}
    folders |= {folder.parent for folder in folders}
    try:
        for folder in folders:
            folder.chmod(0o555)
        ended = start(project.server, project.folder, stage).end()
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert one_error(ended) and "Permission denied" in ended.words, ended
    project.survives("folder without the right to write", stage)
