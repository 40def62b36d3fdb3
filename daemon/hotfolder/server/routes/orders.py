"""Orders: bulk thumbnails, copies and analyses. How far they are stands among the jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StrictInt, model_validator

from hotfolder.config.checks import SUFFIX
from hotfolder.config.derived import derived
from hotfolder.engine import Engine
from hotfolder.presets import CHOSEN, COPY_CHOSEN, OptimizeSpec, Preset
from hotfolder.server.bodies import MOST, Body
from hotfolder.server.files import in_thread
from hotfolder.server.models import Accepted
from hotfolder.services import orders

SIDE_MOST = 16_384
"""Pixels; what WebP can hold."""

Path = Annotated[str, Field(min_length=1, max_length=4096)]
Side = Annotated[StrictInt, Field(ge=1, le=SIDE_MOST)]
Suffix = Annotated[str, Field(pattern=f"^{SUFFIX.pattern}$")]
Output = Annotated[str, Field(min_length=1, max_length=1024)]


class ImagesBody(Body):
    """Which images: `paths`, taken literally, or a `glob`. Unknown fields are 422."""

    paths: Annotated[list[Path], Field(min_length=1, max_length=MOST)] | None = None
    glob: Path | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ImagesBody:
        if (self.paths is None) == (self.glob is None):
            raise ValueError("give either paths or a glob")
        return self


@derived(Preset, only=CHOSEN, width=(Side, ...), height=(Side, ...), suffix=(Suffix, ...))
class Size(Body):
    """One thumbnail of the caller's own."""

    def preset(self) -> Preset:
        chosen = self.model_dump()
        return Preset(name=chosen["suffix"], **chosen)


class GenerateBody(ImagesBody):
    """`output`: a folder below the output of the images' watch."""

    sizes: Annotated[list[Size], Field(min_length=1, max_length=8)]
    output: Output | None = None


class GeneratePresetBody(ImagesBody):
    """`output`: a folder below the output of the images' watch."""

    presets: Annotated[list[str], Field(min_length=1, max_length=100)]
    output: Output | None = None


@derived(OptimizeSpec, only=COPY_CHOSEN, optional=True, max_dimension=(Side | None, None))
class _CopyBody(ImagesBody):
    """What is left out is as the images' watch has it."""


class OptimizeBody(_CopyBody):
    """What is left out is as the images' watch has it."""

    output: Output | None = None


class AnalyzeBody(ImagesBody):
    """Nothing beside the images."""


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["jobs"])
    base = "/api/image-processing"

    async def accepted(order: Callable[[], orders.Accepted]) -> Accepted:
        found = await in_thread(order)
        url = f"{engine.config.http.root_path}/api/jobs/{found.id}"
        return Accepted(job_id=found.id, status_url=url, total=found.total)

    @routes.post(f"{base}/thumbnails/generate", status_code=202)
    async def generate(body: GenerateBody) -> Accepted:
        """Thumbnails of sizes of your own."""
        images = orders.Images(body.paths, body.glob, body.output)
        return await accepted(lambda: orders.generate(engine, images, [size.preset() for size in body.sizes]))

    @routes.post(f"{base}/thumbnails/generate-preset", status_code=202)
    async def generate_preset(body: GeneratePresetBody) -> Accepted:
        """Thumbnails by the names of configured presets; what is current already is not made again."""
        images = orders.Images(body.paths, body.glob, body.output)
        return await accepted(lambda: orders.generate_preset(engine, images, body.presets))

    @routes.post(f"{base}/images/optimize", status_code=202)
    async def optimize(body: OptimizeBody) -> Accepted:
        """Optimized copies."""
        images = orders.Images(body.paths, body.glob, body.output)
        given = body.model_dump(include=set(COPY_CHOSEN), exclude_none=True)
        return await accepted(lambda: orders.optimize(engine, images, given))

    @routes.post(f"{base}/images/analyze", status_code=202)
    async def analyze(body: AnalyzeBody) -> Accepted:
        """How images were taken, and what their pixels tell; it stands in the results."""
        return await accepted(lambda: orders.analyze(engine, orders.Images(body.paths, body.glob)))

    return routes
