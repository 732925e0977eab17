"""The recipes that a facility installs for its Zocalo, and what the tests change in their copies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.servers.zocalo import RECIPES, adapted


def recipe(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((RECIPES / f"{name}.json").read_text())
    return body


def paths(value: object, at: str = "") -> dict[str, object]:
    """Every leaf of a JSON document by its path."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    out = {path: leaf for key, part in items for path, leaf in paths(part, f"{at}/{key}").items()}
    return out or {at: value}


def test_the_tests_change_nothing_in_the_recipes_but_scheduler_and_wrapper() -> None:
    changed: dict[str, tuple[object, object]] = {}
    for name in ("ispyb-relion", "relion-stop", "relion-stop-file"):
        before, after = paths(recipe(name)), paths(adapted(recipe(name)))
        assert before.keys() == after.keys()
        changed |= {path: (before[path], after[path]) for path in before if before[path] != after[path]}

    assert changed == {
        "/2/parameters/cluster/scheduler": ("slurm", "stand_in"),
        "/2/parameters/cluster/commands/1": (
            "exec zocalo.wrap --wrap relion --recipewrapper recipewrapper.json",
            "exec zocalo.wrap --wrap relion_stand_in --recipewrapper recipewrapper.json",
        ),
    }


def test_start_and_stop_recipe_name_the_same_stop_file() -> None:
    start, stop = recipe("ispyb-relion")["2"]["job_parameters"], recipe("relion-stop")["1"]["parameters"]

    assert start["stop_file"] == stop["stop_file"]


@pytest.mark.parametrize(
    ("before", "restarts", "begins"),
    [("nothing", "", True), ("directory", "", False), ("directory", "1", True), ("unwritable", "", True)],
    ids=["first", "came twice", "requeued by Slurm", "cannot tell"],
)
def test_the_clusters_job_leaves_where_another_has_begun(
    tmp_path: Path, before: str, restarts: str, begins: bool
) -> None:
    working = tmp_path / "working"
    working.mkdir()
    if before == "directory":
        (working / "started").mkdir()
    elif before == "unwritable":
        (working / "started").touch()
    wrap = tmp_path / "bin" / "zocalo.wrap"
    wrap.parent.mkdir()
    wrap.write_text("#!/bin/sh\necho begins $*\n")
    wrap.chmod(0o755)
    script = "\n".join(recipe("ispyb-relion")["2"]["parameters"]["cluster"]["commands"])

    finished = subprocess.run(
        ["bash", "-c", script],
        cwd=working,
        env={"PATH": f"{wrap.parent}:/usr/bin:/bin", "SLURM_RESTART_COUNT": restarts},
        capture_output=True,
        text=True,
        timeout=10,
    )

    assert finished.returncode == 0
    said = "begins --wrap relion --recipewrapper recipewrapper.json\n" if begins else ""
    assert (finished.stdout, finished.stderr) == (said, "")
