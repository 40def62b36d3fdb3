"""The OpenAPI document names every field, and what is shown of the API is what its models say."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException

import hotfolder
from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.errors import Exit
from hotfolder.server import app, errors
from hotfolder.server.sessions import Sessions
from hotfolder.services import errors as service_errors
from hotfolder.services.answers import Place, plain
from hotfolder.services.cache import PresetCache
from hotfolder.services.errors import Conflict, Invalid, NotFound, Outside, ServiceError, TooLarge, Unavailable
from tests.schemas import JSON, Document

PACKAGE = Path(hotfolder.__file__).parent
DOCS = PACKAGE.parents[1] / "docs"
RECORDED: dict[str, dict[str, Any]] = json.loads((PACKAGE / "server/examples.json").read_text())
EVERY_ERROR = [
    (Invalid("paths.0", "is empty"), 422),
    (NotFound("no such job"), 404),
    (Outside("it lies outside"), 403),
    (Conflict("it is there already"), 409),
    (TooLarge("it is too large"), 413),
    (Unavailable("for now", retry_after=7), 503),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Document]:
    """Of an engine that does not run: nothing but its configuration is read for it."""
    base = tmp_path_factory.mktemp("document")
    (base / "config.yaml").write_text("watches: [{path: ./inbox, output: ./out}]\n")
    engine = Engine(load(str(base / "config.yaml"), {}).config, live=False)
    yield Document(app.create(engine, Sessions(None)).openapi())
    engine.index.close()


def test_the_document_names_every_field(document: Document) -> None:
    assert len(document.content["components"]["schemas"]) > 60
    assert document.vague() == []


def test_a_vague_schema_would_be_seen() -> None:
    for schema in ({}, {"type": "object"}, {"type": "array"}, {"anyOf": [{"type": "string"}, {}]}):
        answer = {"200": {"content": {JSON: {"schema": {"type": "object", "properties": {"a": schema}}}}}}
        content = {"paths": {"/x": {"get": {"responses": answer}}}, "components": {"schemas": {}}}
        assert Document(content).vague() == [f"GET /x 200 {JSON}"], schema


@pytest.mark.parametrize("call", RECORDED)
def test_examples_are_what_the_models_say(document: Document, call: str) -> None:
    method, path = call.split()
    example = RECORDED[call]
    if "request" in example:
        document.check_request(method, path, example["request"])
    if "answer" in example:
        document.check_answer(method, path, example["answer"], example["status"])


def test_answers_in_the_docs_are_what_the_models_say(document: Document) -> None:
    shown = re.findall(r"^```sh\n(.*?)^```\n+(?:```json\n(.*?)^```)?", (DOCS / "api.md").read_text(), re.M | re.S)
    checked = 0
    for command, answer in shown:
        url = "/" + re.search(r"127\.0\.0\.1:9766/([^' \n]*)", command)[1]  # type: ignore[index]
        method = found[1] if (found := re.search(r"-X (\w+)", command)) else "POST" if " -F " in command else "GET"
        if body := re.search(r"-d '(.*?)'", command, re.S):
            document.check_request(method, url, json.loads(body[1]))
        if answer:
            checked += 1
            document.check_answer(method, url, json.loads(answer))
    assert checked == 2


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "status"), EVERY_ERROR)
def test_an_error_of_a_use_case_is_a_problem_document(error: ServiceError, status: int) -> None:
    answer = errors.answer(error, uploaded=[])
    body = json.loads(bytes(answer.body))
    assert answer.status_code == body["status"] == status
    assert (body["detail"], body["uploaded"]) == (str(error), [])
    assert ("errors" in body) == isinstance(error, Invalid)
    assert answer.headers.get("retry-after") == ("7" if isinstance(error, Unavailable) else None)
    assert errors.answer(HTTPException(415, "no")).status_code == 415


def test_every_error_of_a_use_case_has_a_status() -> None:
    kinds = {
        each for each in vars(service_errors).values() if isinstance(each, type) and issubclass(each, ServiceError)
    }
    assert kinds - {ServiceError} == set(errors.STATUSES) == {type(error) for error, _ in EVERY_ERROR}


def test_commands_end_as_they_do_where_a_daemon_answers() -> None:
    """Of what may pass the daemon's answer is a 5xx: 4. All else is wrong usage: 2."""
    for error, status in EVERY_ERROR:
        assert error.exit == (Exit.STOPPED_EARLY if status >= 500 else Exit.USAGE)


# -- services ----------------------------------------------------------------------------------------------------------


def test_what_is_absent_is_left_out_and_what_is_null_stays() -> None:
    assert plain([Place(path="a"), Place(path="b", path_b64="Yg==")]) == [
        {"path": "a"},
        {"path": "b", "path_b64": "Yg=="},
    ]
    assert plain(PresetCache(entries=1, bytes=2)) == {"entries": 1, "bytes": 2}
    assert plain(PresetCache(entries=1, bytes=2, saved_bytes=0)) == {"entries": 1, "bytes": 2, "saved_bytes": 0}


def test_use_cases_know_no_web_framework_and_no_status() -> None:
    files = list((PACKAGE / "services").glob("*.py"))
    assert len(files) > 15
    for file in files:
        text = file.read_text()
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in ("fastapi", "starlette", "uvicorn", "http"), file.name
        assert not re.search(r"\b(?:status_code|HTTPException|40[0-9]|422|503)\b", text), file.name
