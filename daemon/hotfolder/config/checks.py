"""How keys have to fit together: roots, outputs, chains of watches, presets and their suffixes, tokens.

Each problem is a path of keys and a sentence; load.py adds file and line.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import urlsplit

from hotfolder import probe
from hotfolder.config.document import Path
from hotfolder.config.schema import Config
from hotfolder.presets import ANALYSIS, BUILT_IN, OPTIMIZED, Preset
from hotfolder.store import layouts

NAME = re.compile(r"[a-z0-9-]{1,32}")
SUFFIX = re.compile(r"[A-Za-z0-9._-]{1,32}")
Problem = tuple[Path, str]

LOSSLESS_MODULES = ("mozjpeg_lossless_optimization", "oxipng")


def slug(name: str) -> str:
    """A folder's name as a watch's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-") or "watch"


def problems(config: Config, *, has_token: bool) -> list[Problem]:
    """All that does not fit, in the order of the file."""
    return [
        *_names(config),
        *_folders(config),
        *_presets(config),
        *_patterns(config),
        *_hooks(config),
        *_service(config, has_token),
    ]


def lacking(config: Config) -> list[Problem]:
    """What is asked for that works without its extra, but does less."""
    without = [name for name in LOSSLESS_MODULES if importlib.util.find_spec(name) is None]
    copies = [watch.optimize.spec for watch in config.watches]
    asked = [at for at, copy in enumerate(copies) if copy is not None and copy.mode != "lossy"]
    text = "JPEG and PNG are stored in fewer bytes by the extra 'optimize' alone: pip install \"hotfolder[optimize]\""
    return [(("watches", at, "optimize", "mode"), text) for at in asked if without]


def _names(config: Config) -> Iterator[Problem]:
    if not config.watches:
        yield ("watches",), "no watch; give at least one with path and output"
    seen: dict[str, int] = {}
    for at, watch in enumerate(config.watches):
        if NAME.fullmatch(watch.name) is None:
            yield ("watches", at, "name"), f'"{watch.name}" is not allowed; allowed: 1 to 32 of a–z, 0–9 and -'
        if watch.name in seen:
            other = f"watches[{seen[watch.name]}]"
            yield ("watches", at, "name"), f'"{watch.name}" is also the name of {other}; names have to differ'
        seen.setdefault(watch.name, at)
        if watch.layout not in layouts.known():
            text = f'"{watch.layout}" does not exist yet; allowed: {", ".join(layouts.known())}'
            yield ("watches", at, "layout"), text


def _real_paths(config: Config) -> dict[str, str | probe.Silent]:
    """Where roots and outputs lie, by what the file calls them."""
    paths = {path for watch in config.watches for path in (watch.path, watch.output)}
    return probe.ask_all({path: partial(os.path.realpath, path) for path in sorted(paths)})


def silent(config: Config) -> list[Problem]:
    """Roots and outputs that do not answer: what they mean for each other cannot be said."""
    found = _real_paths(config)
    keys = [(at, key, getattr(watch, key)) for at, watch in enumerate(config.watches) for key in ("path", "output")]
    text = "does not answer; see to its mount: the other watches go on, and this one when it answers again"
    return [(("watches", at, key), f"{path} {text}") for at, key, path in keys if isinstance(found[path], probe.Silent)]


def _folders(config: Config) -> Iterator[Problem]:
    real = {path: path if isinstance(found, probe.Silent) else found for path, found in _real_paths(config).items()}
    yield from _roots(config, real)
    yield from _outputs(config, real)
    yield from _cycles(config, real)


def _roots(config: Config, real: Mapping[str, str]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for at, watch in enumerate(config.watches):
        root = real[watch.path]
        if root in seen:
            yield ("watches", at, "path"), f"{watch.path} is also the root of watches[{seen[root]}]; watch it once"
        seen.setdefault(root, at)
        if root == real[watch.output]:
            yield ("watches", at, "output"), f"{watch.output} is the watch's own root; choose another folder"


def _outputs(config: Config, real: Mapping[str, str]) -> Iterator[Problem]:
    for at, watch in enumerate(config.watches):
        for before, other in enumerate(config.watches[:at]):
            mine, theirs = real[watch.output], real[other.output]
            if mine == theirs:
                yield ("watches", at, "output"), f"{watch.output} is also the output of watches[{before}]"
            elif _inside(mine, theirs) or _inside(theirs, mine):
                yield ("watches", at, "output"), f"{watch.output} and {other.output} (watches[{before}]) are nested"


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _cycles(config: Config, real: Mapping[str, str]) -> Iterator[Problem]:
    """A's output in B's root feeds B. A chain is fair; a way back to where it began is not."""
    roots = [real[watch.path] for watch in config.watches]
    outputs = [real[watch.output] for watch in config.watches]
    feeds = {
        a: [b for b, root in enumerate(roots) if b != a and (_inside(outputs[a], root) or _inside(root, outputs[a]))]
        for a in range(len(roots))
    }
    for start in feeds:
        way = _way_back(feeds, start)
        if way and start == min(way):
            names = " → ".join(config.watches[at].name for at in (*way, start))
            yield ("watches", start, "output"), f"the watches feed each other in a circle: {names}; break it"


def _way_back(feeds: dict[int, list[int]], start: int) -> list[int]:
    ways = [[start]]
    seen: set[int] = set()
    while ways:
        way = ways.pop()
        for following in feeds[way[-1]]:
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def _presets(config: Config) -> Iterator[Problem]:
    incomplete = False
    for name, fields in config.presets.items():
        if not name or name in (OPTIMIZED, ANALYSIS):
            yield ("presets", name), f'"{name}" is no name for a preset; choose another one'
        lacking = [key for key in ("width", "height", "suffix") if getattr(fields, key) is None]
        if lacking and name not in BUILT_IN:
            incomplete = True
            yield ("presets", name), f"a new preset also needs {', '.join(lacking)}"
    if incomplete:
        return  # of what is not there nothing more can be said
    known = config.all_presets()
    yield from _suffixes(config, known)
    for at, watch in enumerate(config.watches):
        for name in watch.presets:
            if name not in known:
                yield ("watches", at, "presets"), f'unknown preset "{name}"; known: {", ".join(sorted(known))}'
        if len(set(watch.presets)) != len(watch.presets):
            yield ("watches", at, "presets"), "a preset stands twice"


def _suffixes(config: Config, known: dict[str, Preset]) -> Iterator[Problem]:
    """Each pair once, at the one that the file could change."""
    fit = [preset for preset in known.values() if SUFFIX.fullmatch(preset.suffix)]
    for preset in known.values():
        if preset not in fit:
            text = f'"{preset.suffix}": allowed are 1 to 32 of A–Z a–z 0–9 . _ and -'
            yield ("presets", preset.name, "suffix"), text
    for at, one in enumerate(fit):
        for other in fit[at + 1 :]:
            mine, theirs = one.suffix.lower(), other.suffix.lower()
            if mine.endswith(theirs) or theirs.endswith(mine):
                # Built-in ones stand first, and two of them never meet.
                told, met = (other, one) if other.name in config.presets else (one, other)
                ends = "ends like" if told.suffix.lower().endswith(met.suffix.lower()) else "is the end of"
                text = f'"{told.suffix}" {ends} "{met.suffix}" of {met.name}; their files could meet'
                yield ("presets", told.name, "suffix"), text


def _patterns(config: Config) -> Iterator[Problem]:
    for at, watch in enumerate(config.watches):
        for key in ("include", "exclude"):
            for pattern in getattr(watch, key):
                if (problem := _wrong_pattern(pattern)) is not None:
                    yield ("watches", at, key), f'"{pattern}" {problem}'
        for name in watch.ignore_files:
            if not name or "/" in name or name in (".", ".."):
                yield ("watches", at, "ignore_files"), f'"{name}" is no file name'


def _wrong_pattern(pattern: str) -> str | None:
    """gitignore takes nearly anything, and then matches nothing."""
    if not pattern.strip():
        return "is empty, and matches nothing; remove it"
    if pattern.startswith("#"):
        return f"is a comment to gitignore, and matches nothing; write \\{pattern}"
    if not _is_closed(pattern):
        return "is no glob pattern: a [ is never closed; write \\[ for the letter itself"
    import pathspec  # late: most configurations have no patterns

    try:
        pathspec.GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error) as error:
        return f"is no glob pattern: {getattr(error, 'msg', error)}"  # its position would be one in the translation
    return None


def _is_closed(pattern: str) -> bool:
    """Whether each class of characters, such as [a-z], ends. A ] that stands first in it is one of them."""
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "[":
            first = at + 1 + (pattern[at + 1 : at + 2] in ("!", "^"))
            at = pattern.find("]", first + 1)
            if at < 0:
                return False
        at += 1
    return True


def _hooks(config: Config) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    watches = ", ".join(watch.name for watch in config.watches)
    for at, hook in enumerate(config.hooks):
        if NAME.fullmatch(hook.name) is None:
            yield ("hooks", at, "name"), f'"{hook.name}" is not allowed; allowed: 1 to 32 of a–z, 0–9 and -'
        if hook.name in seen:
            yield ("hooks", at, "name"), f'"{hook.name}" is also the name of hooks[{seen[hook.name]}]'
        seen.setdefault(hook.name, at)
        for name in hook.watches:
            if config.watch(name) is None:
                yield ("hooks", at, "watches"), f'no watch is called "{name}"; known: {watches}'
        if hook.run is not None and shutil.which(hook.run[0]) is None:
            there = os.path.exists(hook.run[0]) if "/" in hook.run[0] else False
            why = "is there, but not executable; chmod +x" if there else "does not exist; name a program, or its file"
            yield ("hooks", at, "run"), f"{hook.run[0]} {why}"
        if hook.url is not None and not _is_address(hook.url):
            yield ("hooks", at, "url"), "is no address; allowed: http://host/path or https://host:port/path"
        if hook.run is not None and (hook.secret_file or hook.secret):
            yield ("hooks", at, "secret_file"), "signs what is posted to a url; a program that is run needs none"
        if hook.timeout <= 0:
            yield ("hooks", at, "timeout"), "has to be more than nothing, such as 30s"


def _is_address(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


def _service(config: Config, has_token: bool) -> Iterator[Problem]:
    if config.pool.executor == "dask":
        yield ("pool", "executor"), '"dask" does not exist yet; allowed: threads'
    host = config.http.host
    if not _is_host(host):
        yield ("http", "host"), f'"{host}" is no address; allowed: an IP address or a name of this machine'
    elif text := exposed(config, has_token=has_token):
        yield ("http", "host"), text
    if config.http.root_path and not config.http.root_path.startswith("/"):
        yield ("http", "root_path"), f'"{config.http.root_path}" has to begin with /, such as /{config.http.root_path}'
    if not config.pool.job_timeout:
        yield ("pool", "job_timeout"), "has to be more than nothing, such as 120s"


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", host) is not None
    return True


def exposed(config: Config, *, has_token: bool) -> str | None:
    """What is wrong where strangers could ask without a token."""
    if not config.http.enabled or has_token or _is_loopback(config.http.host):
        return None
    return f"{config.http.host} can be reached from outside; give a token (http.token_file) or bind to 127.0.0.1"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
