"""The drop folder by HTTP, for those who have no mount."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hotfolder.engine import Engine
from hotfolder.server import errors, multipart
from hotfolder.server.files import in_thread
from hotfolder.server.guard import UPLOADS
from hotfolder.services.errors import Invalid, ServiceError
from hotfolder.services.uploads import Upload, Uploaded, Uploads

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "watch": {"type": "string", "description": "Where there are several; before the files."},
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    },
                }
            }
        },
    }
}


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["images"])

    @routes.post(UPLOADS, status_code=201, openapi_extra=BODY, response_model=Uploads)
    async def upload(request: Request) -> Uploads | Response:
        """Images into the root of a watch. One whose name is there already is 409, and nothing is overwritten."""
        stored: list[Uploaded] = []
        watch: str | None = None
        try:
            async for part in multipart.parts(request):
                if part.filename is not None:
                    stored.append(await _store(engine, watch, part.filename, part))
                elif part.name == "watch":
                    watch = await multipart.field(part)
        except (ServiceError, multipart.Unreadable) as error:
            return errors.answer(error, uploaded=[each.model_dump() for each in stored])
        if not stored:
            raise Invalid("files", "there is no file in the body")
        return Uploads(uploaded=stored)

    return routes


async def _store(engine: Engine, watch: str | None, filename: str, part: multipart.Part) -> Uploaded:
    upload = await in_thread(lambda: Upload(engine, watch, filename))
    try:
        await in_thread(upload.begin)
        async for piece in part.pieces:
            await in_thread(lambda data=piece: upload.write(data))  # type: ignore[misc]
        return await in_thread(upload.publish)
    finally:
        await in_thread(upload.end)
