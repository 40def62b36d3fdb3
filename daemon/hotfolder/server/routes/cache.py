"""The renditions as a whole: figures, and their care."""

from __future__ import annotations

from fastapi import APIRouter

from hotfolder.engine import Engine
from hotfolder.server.files import in_thread
from hotfolder.services.cache import Cache, CacheStats, Cleared, Collected, Verified


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["cache"])
    cache = Cache(engine)

    @routes.get("/api/image-processing/cache/stats")
    def cache_stats() -> CacheStats:
        """How many renditions there are, how large, and what optimized copies save."""
        return cache.stats()

    @routes.delete("/api/image-processing/cache/thumbnails")
    async def clear(watch: str | None = None, preset: str | None = None) -> Cleared:
        """Remove renditions, all or of one watch or preset; they are made again when asked for, or by a rescan."""
        return await in_thread(lambda: cache.clear(watch, preset))

    @routes.post("/api/cache/verify")
    async def verify() -> Verified:
        """Look whether every rendition is still as it was made."""
        return await in_thread(cache.verify)

    @routes.post("/api/cache/gc")
    async def collect() -> Collected:
        """Remove what was made for watches that are no longer configured."""
        return await in_thread(cache.collect)

    return routes
