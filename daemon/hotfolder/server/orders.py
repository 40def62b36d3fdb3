"""Routes of orders: bulk thumbnails, copies and analyses, and how far they are. Rescans stand among them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from hotfolder.config.checks import SUFFIX
from hotfolder.engine import Engine
from hotfolder.index import orders, report
from hotfolder.index.orders import Kind, New
from hotfolder.presets import Preset
from hotfolder.server.files import in_thread
from hotfolder.services import naming
from hotfolder.services.naming import Named
from hotfolder.services.problems import Problem, invalid
from hotfolder.services.rescans import Requests
from hotfolder.watches.wants import CUSTOM, Spec

PATHS_MOST = 1000
SIDE_MOST = 16_384
"""Pixels; what WebP can hold."""
JOBS_LISTED = 100
RETRY_SECONDS = 10

Path = Annotated[str, Field(min_length=1, max_length=4096)]
Quality = Annotated[StrictInt, Field(ge=1, le=100)]
Side = Annotated[StrictInt, Field(ge=1, le=SIDE_MOST)]
Output = Annotated[str, Field(min_length=1, max_length=1024)]


class Images(BaseModel):
    """Which images: `paths`, taken literally, or a `glob`. Unknown fields are 422."""

    model_config = ConfigDict(extra="forbid")

    paths: Annotated[list[Path], Field(min_length=1, max_length=PATHS_MOST)] | None = None
    glob: Path | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Images:
        if (self.paths is None) == (self.glob is None):
            raise ValueError("give either paths or a glob")
        return self


class Size(BaseModel):
    """One thumbnail of the caller's own."""

    model_config = ConfigDict(extra="forbid")

    width: Side
    height: Side
    fit: Literal["contain", "cover", "stretch", "pad"] = "contain"
    format: Literal["jpeg", "png", "webp", "avif"] = "jpeg"
    quality: Quality = 85
    suffix: Annotated[str, Field(pattern=f"^{SUFFIX.pattern}$")]


class GenerateBody(Images):
    sizes: Annotated[list[Size], Field(min_length=1, max_length=8)]
    output: Output | None = None


class GeneratePresetBody(Images):
    presets: Annotated[list[str], Field(min_length=1, max_length=100)]
    output: Output | None = None


class OptimizeBody(Images):
    """What is left out is as the images' watch has it."""

    mode: Literal["lossless", "lossy", "auto"] | None = None
    quality: Quality | None = None
    max_dimension: Side | None = None
    format: Literal["keep", "jpeg", "png", "webp", "avif"] | None = None
    output: Output | None = None


class AnalyzeBody(Images):
    """Nothing beside the images."""


class Accepted(BaseModel):
    """Where to ask how far it is; `total`: how many images."""

    job_id: str
    status_url: str
    total: int


def router(engine: Engine, requests: Requests) -> APIRouter:
    routes = APIRouter(tags=["jobs"])
    base = "/api/image-processing"

    @routes.post(f"{base}/thumbnails/generate", status_code=202)
    async def generate(body: GenerateBody) -> Accepted:
        """Thumbnails of sizes of your own."""
        presets = _own_sizes(engine, body.sizes)
        return await in_thread(lambda: _order(engine, "generate", body, Spec(presets), body.output))

    @routes.post(f"{base}/thumbnails/generate-preset", status_code=202)
    async def generate_preset(body: GeneratePresetBody) -> Accepted:
        """Thumbnails by the names of configured presets; what is current already is not made again."""
        known = engine.config.all_presets()
        if unknown := [name for name in body.presets if name not in known]:
            raise invalid(f"presets.{body.presets.index(unknown[0])}", f"known are {', '.join(sorted(known))}")
        presets = tuple(known[name] for name in dict.fromkeys(body.presets))
        return await in_thread(lambda: _order(engine, "generate-preset", body, Spec(presets), body.output))

    @routes.post(f"{base}/images/optimize", status_code=202)
    async def optimize(body: OptimizeBody) -> Accepted:
        """Optimized copies."""
        fields = {name: getattr(body, name) for name in ("mode", "quality", "max_dimension", "format")}
        given = tuple(sorted((name, value) for name, value in fields.items() if value is not None))
        return await in_thread(lambda: _order(engine, "optimize", body, Spec(optimize=given), body.output))

    @routes.post(f"{base}/images/analyze", status_code=202)
    async def analyze(body: AnalyzeBody) -> Accepted:
        """How images were taken, and what their pixels tell; it stands in the results."""
        return await in_thread(lambda: _order(engine, "analyze", body, Spec(analyze=True), None))

    @routes.get("/api/jobs")
    def jobs() -> list[dict[str, Any]]:
        """The newest first, without results."""
        found = [
            report.order(order, engine.orders.time_left(order))
            for order in orders.newest(engine.index.read(), JOBS_LISTED)
        ]
        return sorted(found + requests.jobs(), key=_begun, reverse=True)[:JOBS_LISTED]

    @routes.get("/api/jobs/{id}")
    def job(
        id: Annotated[str, Field(max_length=64)],
        cursor: Annotated[int, Query(ge=0, le=PATHS_MOST)] = 0,
        limit: Annotated[int, Query(ge=1, le=PATHS_MOST)] = 100,
    ) -> dict[str, Any]:
        """How far a job is, with a page of its results; `next` is the `cursor` of the page behind it."""
        order = orders.find(engine.index.read(), id)
        if order is None:
            return _rescan(requests, id)
        page = list(orders.results(engine.index.read(), order.id, cursor - 1, limit))
        more = bool(page) and page[-1][0] + 1 < order.total
        results = [{"path": name, "state": _shown(state)} | _UNKNOWN | result for _, name, state, result in page]
        return report.order(order, engine.orders.time_left(order)) | {
            "results": results,
            "next": page[-1][0] + 1 if more else None,
        }

    @routes.delete("/api/jobs/{id}")
    def cancel(id: Annotated[str, Field(max_length=64)]) -> dict[str, Any]:
        """Give up what has not begun. One that has ended stays as it is."""
        order = engine.orders.cancel(id)
        if order is None:
            _rescan(requests, id)
            raise Problem(409, "a rescan goes to its end")
        return report.order(order, engine.orders.time_left(order))

    return routes


_UNKNOWN: dict[str, Any] = {"renditions": [], "error": None}


def _shown(state: str) -> str:
    return "queued" if state == "waiting" else state


def _begun(job: dict[str, Any]) -> str:
    return str(job.get("created_at") or job["started_at"])


def _rescan(requests: Requests, id: str) -> dict[str, Any]:
    found = requests.job(id)
    if found is None:
        raise Problem(404, "no such job")
    return found


def _own_sizes(engine: Engine, sizes: list[Size]) -> tuple[Preset, ...]:
    """Raises Problem where a suffix is the tail of another's: their files could meet."""
    taken = {preset.suffix.lower(): f"the preset {name}" for name, preset in engine.config.all_presets().items()}
    for n, size in enumerate(sizes):
        suffix = size.suffix.lower()
        for other, whose in taken.items():
            if suffix.endswith(other) or other.endswith(suffix):
                raise invalid(f"sizes.{n}.suffix", f'"{size.suffix}" and "{other}" of {whose} end alike')
        taken[suffix] = f"sizes.{n}"
    return tuple(Preset(name=f"{CUSTOM}:{size.suffix}", **size.model_dump()) for size in sizes)


def _order(engine: Engine, kind: Kind, images: Images, spec: Spec, output: str | None) -> Accepted:
    if images.paths is not None:
        named = [naming.resolve(engine, text, f"paths.{n}") for n, text in enumerate(images.paths)]
    else:
        named = naming.matching(engine, images.glob or "")
    if output is not None:
        below = naming.output_below(engine, output, named)
        spec = Spec(spec.presets, spec.optimize, spec.analyze, below)
    items = [_new(each) for each in named]
    try:
        key = engine.orders.add(kind, spec, items)
    except orders.TooManyOpen:
        text = f"{orders.OPEN_MOST} jobs are open already"
        raise Problem(503, text, retry_after=RETRY_SECONDS) from None
    return Accepted(job_id=key, status_url=f"{engine.config.http.root_path}/api/jobs/{key}", total=len(items))


def _new(named: Named) -> New:
    """What is no source by the rules fails at once."""
    ignored = named.watcher.rules.why_not(named.path)
    return New(named.watcher.site.id, named.path, named.name, f"it is ignored: {ignored}" if ignored else "")
