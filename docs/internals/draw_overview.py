"""Draws docs/overview.png: the panels of the overview dashboard, as a real Prometheus answers for a run of a minute.

pip install matplotlib; PYTHONPATH=. python docs/internals/draw_overview.py      (needs Debian's prometheus)
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tests.helpers import Daemon, Place, jpeg
from tests.integration.test_observe import Prometheus, dashboards

SECONDS = 75


def work(place: Place, pause: threading.Event) -> None:
    """Single drops, a burst, a broken picture, a rename: a small day."""
    photos = [jpeg(2400, 1600, seed) for seed in range(6)]
    for second in range(SECONDS - 15):
        if second % 4 == 0:
            place.put(f"drop{second}.jpg", photos[second % 6] + bytes([second % 250]))
        if second == 25:
            for number in range(60):
                place.put(f"burst/{number}.jpg", photos[number % 6] + bytes([1, number]))
        if second == 40:
            place.put("broken.jpg", photos[0][:5000])
        pause.wait(1.0)


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        base = Path(text)
        place = Place(base, "pool: {memory_limit: 512MB}")
        daemon = Daemon(place).ready()
        (base / "prometheus").mkdir()
        server = Prometheus(base / "prometheus", place.port)
        pause, began = threading.Event(), time.time()
        pause.wait(8)
        work(place, pause)
        draw(server, began)
        daemon.stop()
        server.process.kill()


def draw(server: Prometheus, began: float) -> None:
    panels = dashboards()["overview.json"]["panels"]
    figure, axes = plt.subplots(6, 3, figsize=(18, 22), facecolor="#f7f7f8")
    for axis, panel in zip(axes.flat, panels, strict=False):
        axis.set_title(panel["title"], loc="left", fontsize=11, fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
        for target in panel["targets"]:
            expression = (
                target["expr"].replace("$__rate_interval", "10s").replace("[5m]", "[15s]").replace("[15m]", "[60s]")
            )
            expression = expression.replace("$instance", ".*").replace("$watch", ".*")
            asked: Any = server.ask("query_range", query=expression, start=str(began), end=str(time.time()), step="1")
            lines(axis, panel, target["legendFormat"], asked["result"], began)
        axis.set_ylim(bottom=0)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=7, frameon=False, loc="upper left")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.tight_layout(pad=2)
    figure.savefig(Path(__file__).parents[1] / "overview.png", dpi=70)


def lines(axis: Any, panel: dict[str, Any], legend: str, series: list[Any], began: float) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    scale = 1e6 if unit in ("bytes", "Bps") else 1
    unit = "" if panel["type"] == "heatmap" else unit
    axis.set_ylabel({"bytes": "MB", "Bps": "MB/s", "s": "seconds", "ops": "per second"}.get(unit, ""), fontsize=8)
    for each in series:
        name = legend
        for key, value in each["metric"].items():
            name = name.replace("{{" + key + "}}", value)
        name = "none" if name == "{{reason}}" else name
        moments = [float(at) - began for at, _ in each["values"]]
        if panel["type"] == "heatmap":
            if any(float(value) for _, value in each["values"]):
                axis.plot(moments, [float(value) for _, value in each["values"]], label=f"≤ {name} s", linewidth=1)
            continue
        axis.plot(moments, [float(value) / scale for _, value in each["values"]], label=name, linewidth=1.6)


if __name__ == "__main__":
    main()
