"""Makes docs/at-work.svg from a real run: ``python docs/internals/make_picture.py FOLDER_WITH_PHOTOS``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from hotfolder.cli import main; main()"]


def main() -> None:
    photos = sorted(Path(sys.argv[1]).glob("*.jpg"))[:3]
    with tempfile.TemporaryDirectory() as base:
        inbox = Path(base, "inbox")
        Path(base, "config.yaml").write_text("watches: [{path: ./inbox, output: ./renditions}]\nhttp: {port: 9797}\n")
        daemon = subprocess.Popen([*COMMAND, "run"], cwd=base, stderr=subprocess.PIPE, text=True)
        assert daemon.stderr is not None
        lines = []
        for line in daemon.stderr:
            lines.append(line.rstrip())
            if " started " in line:
                for photo in photos:
                    shutil.copy(photo, inbox)
            if sum(" ready " in each for each in lines) == len(photos):
                break
        status = subprocess.run([*COMMAND, "status"], cwd=base, capture_output=True, text=True, check=True).stdout
        began = time.monotonic()
        daemon.terminate()
        daemon.wait(20)
        tree = sorted(str(path.relative_to(base)) for path in Path(base, "renditions").rglob(f"{photos[0].stem}*"))
        console = Console(record=True, width=120, file=open("/dev/null", "w", encoding="utf-8"))
        show = [
            ("$ hotfolder run", lines),
            (f"$ cp {' '.join(p.name for p in photos)} inbox/", []),
            ("$ ls renditions/**", tree),
            ("$ hotfolder status", status.splitlines()),
        ]
        for command, output in show:
            console.print(Text(command, style="bold"))
            for line in output:
                console.print(Text(line.replace(base, "~"), no_wrap=True, overflow="ellipsis"))
        console.save_svg(str(HERE / "at-work.svg"), title="hotfolder")
        print(f"stopped after {time.monotonic() - began:.1f} s; docs/at-work.svg written")


if __name__ == "__main__":
    main()
