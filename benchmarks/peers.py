"""The peers of the comparison, installed in ``benchmarks/.peers`` (not in git), and how each is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PEERS = HERE / ".peers"
PYTHON = PEERS / "venv/bin/python"
PACKAGES = (
    "pyvips-binary==8.18.7",
    "pyvips==3.2.0",
    "ssimulacra2==0.3.0",
    "pyjpegli==0.3.2",
    "pillow==13.0.0",
    "numpy",
)
SHARP = "sharp@0.35"


@dataclass(frozen=True)
class Contestant:
    """A program that makes the renditions of a folder; called with IN OUT MODE WORKERS QUALITY PRESETS."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def available(self) -> bool:
        return shutil.which(self.command[0]) is not None


def contestants() -> tuple[Contestant, ...]:
    scripts = HERE / "contestants"
    vips = (("VIPS_CONCURRENCY", "1"),)
    node = (("PEERS", str(PEERS)),)
    return (
        Contestant("hotfolder", (sys.executable, str(scripts / "hotfolder_loop.py"))),
        Contestant(
            "hotfolder, wheels only", (sys.executable, str(scripts / "hotfolder_loop.py")), (("WITHOUT_NATIVE", "1"),)
        ),
        Contestant("sharp, decode once", ("node", str(scripts / "sharp.mjs"), "once"), node),
        Contestant("sharp, a pipeline a preset", ("node", str(scripts / "sharp.mjs"), "each"), node),
        Contestant("libvips, decode once", (str(PYTHON), str(scripts / "vips.py")), vips),
        Contestant("Pillow, an open a preset", (str(PYTHON), str(scripts / "pillow_each.py"))),
    )


def install() -> None:
    """Bring the peers of PACKAGES and SHARP, unless they are there."""
    PEERS.mkdir(exist_ok=True)
    wanted = json.dumps([PACKAGES, SHARP])
    stamp = PEERS / "installed.json"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", PEERS / "venv"], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES], check=True)
    if shutil.which("npm"):
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", PEERS, SHARP], check=True)
    else:
        print("npm is not installed: sharp is left out", file=sys.stderr)
    stamp.write_text(wanted)


def environment(contestant: Contestant) -> dict[str, str]:
    return {**os.environ, **dict(contestant.environment)}
