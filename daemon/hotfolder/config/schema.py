"""The configuration as types: every key, its default and what it takes. Says nothing of how keys fit together.

Values are resolved: durations are seconds, sizes bytes, shares 0–1, modes numbers.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from hotfolder.config.derived import derived
from hotfolder.config.types import (
    AutoSize,
    BacklogWorkers,
    Count,
    Duration,
    Folder,
    Interval,
    LayoutName,
    Mode,
    Share,
    Size,
    TimeWindow,
    Workers,
)
from hotfolder.model import Backend, HookEvent, LogFormat, LogLevel, RankName
from hotfolder.presets import BUILT_IN, AnalyzeSpec, OptimizeSpec, Preset

MASK = "*" * 8
"""What stands for a secret wherever a configuration is shown."""
_NEEDS_RESTART = Field(json_schema_extra={"reload": "restart"})
_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}")


RELOAD, LIVE, RESTART = "reload", "live", "restart"
"""What each key states of itself in the schema: in force after SIGHUP, or named in the log as needing a restart."""


def _mark(schema: dict[str, Any]) -> None:
    for name, key in schema.get("properties", {}).items():
        schema["properties"][name] = {RELOAD: LIVE} | key


class Section(BaseModel):
    """Unknown keys are errors; values never change. A key is live where it is not marked as needing a restart."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_mark)


@derived(OptimizeSpec)
class Optimize(Section):
    enabled: StrictBool = True

    @property
    def spec(self) -> OptimizeSpec | None:
        """What the copy is to be; None where there is none."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "enabled"}
        return OptimizeSpec(**fields) if self.enabled else None


@derived(AnalyzeSpec)
class Analyze(Section):
    """`true`, `false`, or a mapping that switches single parts."""

    enabled: StrictBool = True

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, bool) else value

    @model_serializer(mode="wrap")
    def _shortest(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.enabled and self != Analyze() else self.enabled

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, handler(schema)]}

    @property
    def spec(self) -> AnalyzeSpec | None:
        """What the record is to have; None where there is none."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "enabled"}
        return AnalyzeSpec(**fields) if self.enabled else None


class Files(Section):
    mode: Mode = 0o644
    dir_mode: Mode = 0o755
    mtime: Literal["source", "now"] = "source"


class DeleteGuard(Section):
    fraction: Share = 0.2
    min: Annotated[StrictInt, Field(ge=0)] = 100


class Watch(Section):
    name: StrictStr = ""
    path: Folder
    output: Folder
    create: StrictBool = True
    recursive: StrictBool = True
    backend: Literal["auto", Backend] = "auto"
    poll_interval: Duration = 30.0
    rescan_interval: Interval = 21600.0
    settle: Duration = 0.5
    settle_after_close: Duration = 0.0
    include: tuple[StrictStr, ...] = ()
    exclude: tuple[StrictStr, ...] = ()
    ignore_files: tuple[StrictStr, ...] = (".hotfolderignore", ".nomedia")
    priority: RankName = "normal"
    presets: tuple[StrictStr, ...] = tuple(BUILT_IN)
    optimize: Optimize = Optimize()
    analyze: Analyze = Analyze()
    layout: LayoutName = "mirror"
    files: Files = Files()
    on_delete: Literal["remove", "keep"] = "remove"
    delete_guard: DeleteGuard = DeleteGuard()


@derived(Preset, optional=True)
class PresetFields(Section):
    """One entry of `presets`; what it leaves out comes from the built-in one of the same name, or is the default."""

    @field_validator("background", check_fields=False)
    @classmethod
    def _colour(cls, value: str | None) -> str | None:
        if value is None or _COLOUR.fullmatch(value) is None:
            raise ValueError('is not a colour; allowed: "#rrggbb" or "#rgb", in quotes (else # begins a comment)')
        digits = value[1:].lower()
        return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))


Isolation = Literal["auto", "always", "never"]
"""Whether pictures are decoded in processes of their own."""


class Pool(Section):
    workers: Workers = "auto"
    queue_per_worker: Annotated[StrictInt, Field(ge=1, le=1000)] = 50
    memory_limit: AutoSize = "auto"
    job_timeout: Duration = 120.0
    isolate: Isolation = "auto"
    executor: Annotated[Literal["threads", "dask"], _NEEDS_RESTART] = "threads"


class Backlog(Section):
    window: TimeWindow = None
    workers: BacklogWorkers = "auto"


class LimitsSection(Section):
    max_pixels: Count = 250_000_000
    max_bytes: Size = 1_000_000_000
    min_free: Size = 100_000_000
    truncated: Literal["quarantine", "allow"] = "quarantine"


class Hook(Section):
    """`secret` has the content of `secret_file`, or comes from the environment alone."""

    name: StrictStr
    events: Annotated[tuple[HookEvent, ...], Field(min_length=1)]
    watches: tuple[StrictStr, ...] = ()
    run: Annotated[tuple[StrictStr, ...], Field(min_length=1)] | None = None
    url: Annotated[StrictStr, Field(pattern=r"^https?://[^/]")] | None = None
    timeout: Duration = 30.0
    retries: Annotated[StrictInt, Field(ge=0, le=100)] = 5
    after: Duration = 5.0
    secret_file: StrictStr | None = None
    secret: Annotated[StrictStr | None, Field(repr=False), PlainSerializer(lambda v: None if v is None else MASK)] = (
        None
    )

    @model_validator(mode="after")
    def _one_goal(self) -> Hook:
        if (self.run is None) == (self.url is None):
            raise ValueError("has to have either run or url")
        return self


class Http(Section):
    enabled: Annotated[StrictBool, _NEEDS_RESTART] = True
    host: Annotated[StrictStr, _NEEDS_RESTART] = "127.0.0.1"
    port: Annotated[StrictInt, Field(ge=0, le=65535), _NEEDS_RESTART] = 9766
    token_file: StrictStr | None = None
    hosts: tuple[StrictStr, ...] = ()
    root_path: StrictStr = ""
    upload_limit: Size = 200_000_000


class Log(Section):
    level: LogLevel = "info"
    format: LogFormat = "text"


class Config(Section):
    """The whole file. `file` and `token` are not keys: they say where it came from, and HOTFOLDER_HTTP__TOKEN."""

    watches: tuple[Watch, ...]
    presets: dict[StrictStr, PresetFields] = {}
    pool: Pool = Pool()
    backlog: Backlog = Backlog()
    limits: LimitsSection = LimitsSection()
    hooks: tuple[Hook, ...] = ()
    state: Annotated[Folder, _NEEDS_RESTART] = "./.hotfolder"
    http: Http = Http()
    log: Log = Log()
    shutdown_timeout: Duration = 8.0
    fsync: StrictBool = False

    def all_presets(self) -> dict[str, Preset]:
        """The built-in ones with those of the file. Raises TypeError where a new one lacks a size."""
        found = dict(BUILT_IN)
        for name, fields in self.presets.items():
            given: dict[str, Any] = {key: value for key, value in fields.model_dump().items() if value is not None}
            base = found[name].as_dict() if name in found else {"name": name}
            found[name] = Preset(**(base | given))
        return found

    def watch(self, name: str) -> Watch | None:
        return next((watch for watch in self.watches if watch.name == name), None)
