"""The command line as a whole."""

from __future__ import annotations

import typer

from hotfolder.cli.app import build
from tests.faults.test_endings import leaves
from tests.helpers import Place


def test_every_command_takes_a_configuration() -> None:
    root = typer.main.get_command(build())
    without = []
    for path in leaves(root):
        command = root
        for name in path:
            command = command.commands[name]  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        if not {"-c", "--config"} <= options:
            without.append(path)
    assert without == []


def test_a_sample_is_written_where_the_configuration_is_to_be(place: Place) -> None:
    assert place.cli("config", "init", "-c", "new.yaml").returncode == 0
    assert "watches:" in (place.base / "new.yaml").read_text()
    assert place.cli("config", "init", "other.yaml", "-c", "new.yaml").returncode == 0
    assert (place.base / "other.yaml").exists()
    assert place.cli("config", "schema", "-c", "new.yaml").returncode == 0
