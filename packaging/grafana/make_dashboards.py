"""Writes the two dashboards: ``python packaging/grafana/make_dashboards.py`` (a test fails where they are not current).

Plain dictionaries instead of Grafana's SDK: a panel is ten keys, and the JSON that comes out is what a reader of the
diff has to judge anyway. Every query stands here once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
I = 'instance=~"$instance"'  # noqa: E741
W = 'instance=~"$instance", watch=~"$watch"'
WIDTH = 24


def panel(
    kind: str,
    title: str,
    text: str,
    unit: str,
    queries: dict[str, str],
    *,
    wide: int = 12,
    high: int = 8,
    **options: Any,
) -> dict[str, Any]:
    """One panel; `queries` maps a legend to its expression."""
    instant = kind == "stat"
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
            "format": "heatmap" if kind == "heatmap" else "time_series",
        }
        for number, (legend, expression) in enumerate(queries.items())
    ]
    defaults = {"unit": unit, "min": 0} | options.pop("defaults", {})
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "gridPos": {"w": wide, "h": high},
    }


def dashboard(uid: str, title: str, text: str, panels: list[dict[str, Any]]) -> dict[str, Any]:
    """Panels laid out from left to right, line by line."""
    x = y = line = 0
    for number, each in enumerate(panels, 1):
        place = each["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, line = 0, y + line, 0
        place.update(x=x, y=y)
        each["id"] = number
        x, line = x + place["w"], max(line, place["h"])
    return {
        "uid": uid,
        "title": title,
        "description": text,
        "tags": ["hotfolder"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                _source(),
                _values("instance", "hotfolder_build_info", "instance"),
                _values("watch", 'hotfolder_sources{instance=~"$instance"}', "watch"),
            ]
        },
        "panels": panels,
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def _values(name: str, series: str, label: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values({series}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def quantile(q: float, metric: str, by: str, where: str) -> str:
    return f"histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


THRESHOLDS = {
    "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]}
}
OVERVIEW = [
    panel(
        "stat",
        "Watches away",
        "Roots that are away or do not answer.",
        "none",
        {"": f"count(hotfolder_watch_up{{{W}}} == 0) or vector(0)"},
        wide=4,
        high=4,
        defaults=THRESHOLDS,
    ),
    panel(
        "stat",
        "Waiting",
        "Sources that wait for work, the whole backlog.",
        "short",
        {"": f"sum(hotfolder_sources_pending{{{W}}})"},
        wide=4,
        high=4,
    ),
    panel(
        "stat",
        "Images a minute",
        "Images made in the last five minutes, by the minute.",
        "short",
        {"": f'60 * sum(rate(hotfolder_jobs_total{{{W}, result="done"}}[5m]))'},
        wide=4,
        high=4,
    ),
    panel(
        "stat",
        "Drop to ready, p99",
        "Of the last 15 minutes: from the last event of a drop to its last rendition.",
        "s",
        {"": f"histogram_quantile(0.99, sum by (le) (rate(hotfolder_drop_to_ready_seconds_bucket{{{W}}}[15m])))"},
        wide=4,
        high=4,
    ),
    panel(
        "stat",
        "In quarantine",
        "Images that failed for good; `hotfolder failures` lists them.",
        "short",
        {"": f"sum(hotfolder_quarantined_sources{{{I}}})"},
        wide=4,
        high=4,
    ),
    panel(
        "stat",
        "Saved",
        "Bytes that optimized copies are smaller than their sources, since each start.",
        "bytes",
        {"": f"sum(hotfolder_saved_bytes_total{{{I}}})"},
        wide=4,
        high=4,
    ),
    panel(
        "state-timeline",
        "State of the watches",
        "ok, polling (no events there), degraded (see /readyz) or offline.",
        "none",
        {"{{instance}} {{watch}} {{state}}": f"hotfolder_watch_state{{{W}}} == 1"},
        wide=24,
        high=6,
    ),
    panel(
        "timeseries",
        "Images a second",
        "Jobs ended, by result. reused ones are not among them: see cache hits.",
        "ops",
        {"{{result}}": f"sum by (result) (rate(hotfolder_jobs_total{{{W}}}[$__rate_interval]))"},
    ),
    panel(
        "heatmap",
        "Drop to ready",
        "How long fresh drops took, as a heat map: one column is one interval.",
        "s",
        {"{{le}}": f"sum by (le) (increase(hotfolder_drop_to_ready_seconds_bucket{{{W}}}[$__rate_interval]))"},
        calculate=False,
    ),
    panel(
        "timeseries",
        "Queue and backlog",
        "Jobs in the two lanes of the bounded queue, and all that waits beyond.",
        "short",
        {
            "{{lane}} lane": f"sum by (lane) (hotfolder_queue_depth{{{I}}})",
            "backlog": f"sum(hotfolder_sources_pending{{{W}}})",
        },
    ),
    panel(
        "timeseries",
        "Waiting time",
        "How long the oldest job of each lane has waited.",
        "s",
        {"{{lane}}": f"max by (lane) (hotfolder_oldest_pending_seconds{{{I}}})"},
    ),
    panel(
        "timeseries",
        "Workers",
        "Worker threads by what they do; stuck ones hang in a decoder and were replaced.",
        "short",
        {"{{state}}": f"sum by (state) (hotfolder_workers{{{I}}})"},
    ),
    panel(
        "timeseries",
        "Memory",
        "Reserved by jobs against the limit, and what the process really holds.",
        "bytes",
        {
            "reserved": f"sum(hotfolder_memory_reserved_bytes{{{I}}})",
            "limit": f"sum(hotfolder_memory_limit_bytes{{{I}}})",
            "resident": f'sum(process_resident_memory_bytes{{{I}, job="hotfolder"}})',
        },
    ),
    panel(
        "timeseries",
        "Bytes in and out",
        "Read from sources, written as renditions, saved by optimized copies.",
        "Bps",
        {
            "read": f"sum(rate(hotfolder_source_bytes_total{{{I}}}[$__rate_interval]))",
            "written": f"sum(rate(hotfolder_rendition_bytes_total{{{I}}}[$__rate_interval]))",
            "saved": f"sum(rate(hotfolder_saved_bytes_total{{{I}}}[$__rate_interval]))",
        },
    ),
    panel(
        "timeseries",
        "Cache hits",
        "Share of looks that found the renditions current.",
        "percentunit",
        {
            "hits": f'sum(increase(hotfolder_cache_requests_total{{{I}, result="hit"}}[1h]))'
            f" / clamp_min(sum(increase(hotfolder_cache_requests_total{{{I}}}[1h])), 1)"
        },
        defaults={"max": 1},
    ),
    panel(
        "timeseries",
        "Quarantine by reason",
        "Images that failed for good, by why.",
        "short",
        {"{{reason}}": f"sum by (reason) (hotfolder_quarantined_sources{{{I}}}) > 0 or vector(0)"},
    ),
    panel(
        "timeseries",
        "Free space",
        "Where renditions go.",
        "bytes",
        {"{{instance}} {{watch}}": f"hotfolder_output_free_bytes{{{W}}}"},
    ),
]
DEEP = [
    panel(
        "timeseries",
        "Stages, mean",
        "What one image costs in each stage.",
        "s",
        {
            "{{stage}}": f"sum by (stage) (rate(hotfolder_stage_duration_seconds_sum{{{I}}}[$__rate_interval]))"
            f" / sum by (stage) (rate(hotfolder_stage_duration_seconds_count{{{I}}}[$__rate_interval]))"
        },
    ),
    panel(
        "timeseries",
        "Stages, p95",
        "The slowest twentieth of the images in each stage.",
        "s",
        {"{{stage}}": quantile(0.95, "hotfolder_stage_duration_seconds", "stage", I)},
    ),
    panel(
        "timeseries",
        "Work by stage",
        "Seconds of work a second: which stage the workers are in.",
        "short",
        {
            "{{stage}}": f'sum by (stage) (rate(hotfolder_stage_duration_seconds_sum{{{I}, stage=~"read|decode|resize|encode|store"}}'
            "[$__rate_interval]))"
        },
    ),
    panel(
        "timeseries",
        "Events",
        "File system events noted, by kind.",
        "ops",
        {"{{kind}}": f"sum by (kind) (rate(hotfolder_events_total{{{W}}}[$__rate_interval]))"},
    ),
    panel(
        "timeseries",
        "Lost and missed",
        "Overflows of the kernel's queue, and changes that no event had announced.",
        "short",
        {
            "overflows {{watch}}": f"increase(hotfolder_overflows_total{{{W}}}[1h])",
            "missed {{watch}}": f"increase(hotfolder_missed_changes_total{{{W}}}[1h])",
        },
    ),
    panel(
        "timeseries",
        "Reconcile",
        "Mean duration of whole reconciles, and how long ago the last one ended.",
        "s",
        {
            "duration": f"sum(increase(hotfolder_reconcile_duration_seconds_sum{{{I}}}[6h]))"
            f" / clamp_min(sum(increase(hotfolder_reconcile_duration_seconds_count{{{I}}}[6h])), 1)",
            "since {{watch}}": f"time() - (hotfolder_last_reconcile_timestamp_seconds{{{W}}} > 0)",
        },
    ),
    panel(
        "timeseries",
        "Silence",
        "Seconds since the last event and since a job last ended well.",
        "s",
        {
            "event {{watch}}": f"time() - (hotfolder_last_event_timestamp_seconds{{{W}}} > 0)",
            "success {{watch}}": f"time() - (hotfolder_last_success_timestamp_seconds{{{W}}} > 0)",
        },
    ),
    panel(
        "timeseries",
        "Kernel watches",
        "In use, and what one user may have.",
        "short",
        {"used": f"sum(hotfolder_inotify_watches{{{I}}})", "limit": f"max(hotfolder_inotify_watches_limit{{{I}}})"},
    ),
    panel(
        "timeseries",
        "Pool",
        "Workers there are against jobs that wait: it grows while CPUs idle.",
        "short",
        {
            "workers": f'sum(hotfolder_workers{{{I}, state=~"busy|idle"}})',
            "waiting": f"sum(hotfolder_queue_depth{{{I}}})",
            "CPUs used": f'sum(rate(process_cpu_seconds_total{{{I}, job="hotfolder"}}[$__rate_interval]))',
        },
    ),
    panel(
        "timeseries",
        "Renditions by preset",
        "`custom` are sizes of callers.",
        "ops",
        {"{{preset}}": f"sum by (preset) (rate(hotfolder_renditions_total{{{I}}}[$__rate_interval]))"},
    ),
    panel(
        "timeseries",
        "Held and skipped",
        "Deletions that wait for a second reconcile; sources whose extra is missing.",
        "short",
        {
            "held {{watch}}": f"hotfolder_held_deletions{{{W}}}",
            "needs {{extra}}": f"sum by (extra) (hotfolder_skipped_sources{{{I}}})",
        },
    ),
    panel(
        "timeseries",
        "HTTP",
        "Answers by status, and the slowest twentieth.",
        "ops",
        {"{{code}}": f"sum by (code) (rate(hotfolder_http_requests_total{{{I}}}[$__rate_interval]))"},
    ),
    panel(
        "timeseries",
        "HTTP, p95",
        "By route.",
        "s",
        {"{{route}}": quantile(0.95, "hotfolder_http_request_duration_seconds", "route", I)},
    ),
    panel(
        "timeseries",
        "Files and threads",
        "Open files and resident memory of the process.",
        "short",
        {"open files": f'sum(process_open_fds{{{I}, job="hotfolder"}})'},
    ),
]
DASHBOARDS = {
    "overview.json": dashboard(
        "hotfolder-overview", "hotfolder: overview", "What all daemons do, and whether they are well.", OVERVIEW
    ),
    "deep-dive.json": dashboard(
        "hotfolder-deep-dive", "hotfolder: deep dive", "Where the time goes, and what was decided.", DEEP
    ),
}


def main() -> None:
    for name, content in DASHBOARDS.items():
        (HERE / "dashboards" / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
