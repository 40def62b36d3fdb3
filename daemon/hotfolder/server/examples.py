"""An example of every call in the OpenAPI document: what a real daemon was asked and what it answered, in
examples.json, written by docs/internals/record_examples.py."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from fastapi import FastAPI

JSON = "application/json"


def add(app: FastAPI) -> None:
    """To be called when all routes are there; nothing is read before somebody asks for the document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            put(plain())
        return plain()  # kept by FastAPI

    app.openapi = openapi  # type: ignore[method-assign]


def put(document: dict[str, Any]) -> None:
    """Put the examples where the document has the call and its JSON."""
    recorded = json.loads(resources.files(__package__).joinpath("examples.json").read_bytes())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            example = recorded.get(f"{method.upper()} {path}", {})
            if "request" in example:
                operation["requestBody"]["content"][JSON]["example"] = example["request"]
            if "answer" in example:
                answer = operation["responses"][str(example["status"])]
                answer.setdefault("content", {}).setdefault(JSON, {})["example"] = example["answer"]
