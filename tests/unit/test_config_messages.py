"""What a wrong configuration is answered with: one true sentence that names file, line, key, value and what is allowed.

One line each, and the whole of it: these are what users read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hotfolder.config import load
from hotfolder.errors import ConfigError

W = "watches:\n  - path: ./in\n    output: ./out\n"
H = W + "hooks: [{name: h, events: [ready], "
TRUE = "run: [/bin/true]"
NO_LIST = "is not a list, such as [a, b]"
DURATION = "is not a duration; allowed: a number with ms, s, m, h or d, such as 500ms"
SIZE = "is not a size; allowed: a number with B, kB, MB, GB, KiB, MiB or GiB, such as 100MB"
COUNT = "is not a count; allowed: a whole number, or one with k, M or G, such as 250M"
INTERVAL = "is not an interval; allowed: a duration such as 6h, never, or daily@03:30"
WINDOW = 'is not a window; allowed: two times of day in quotes, such as "22:00-06:00"'
SUFFIX = "allowed are 1 to 32 of A–Z a–z 0–9 . _ and -"
POOL = "workers, queue_per_worker, memory_limit, job_timeout, isolate, executor"
HTTP = "enabled, host, port, token_file, hosts, root_path, upload_limit"
TOP = "watches, presets, pool, backlog, limits, hooks, state, http, log, shutdown_timeout, fsync"
PRESET = "width, height, fit, format, quality, suffix, background, gravity, progressive, sharpen, contrast, colorspace"
PRESET += ", hdr"
CLOSED = "is no glob pattern: a [ is never closed; write \\[ for the letter itself"
COLOUR = 'is not a colour; allowed: "#rrggbb" or "#rgb", in quotes (else # begins a comment)'
ADDRESS = "does not fit; allowed: http:// or https:// addresses"
EMPTY_LIST = "is empty; it has to be a list, such as [a, b], or to be left out"
EMPTY_SECTION = "is empty; it has to be a section of keys, or to be left out"
GIVE_WATCH = "is not a list; give at least one entry, `- path: …` with an `output: …`"

# Configuration, line (0: none), the rest of the message.
TABLE: list[tuple[str, int, str]] = [
    # presets
    (W + "presets: {big: {width: 9, height: 9}}\n", 4, "presets.big: a new preset also needs suffix"),
    (W + "presets: {big: {}}\n", 4, "presets.big: a new preset also needs width, height, suffix"),
    (
        W + "presets:\n  a: {width: 9, height: 9, suffix: _x}\n  b: {width: 9, height: 9, suffix: _x}\n",
        6,
        'presets.b.suffix: "_x" ends like "_x" of a; their files could meet',
    ),
    (
        W + "presets: {a: {width: 9, height: 9, suffix: view}}\n",
        4,
        'presets.a.suffix: "view" is the end of "_preview" of preview; their files could meet',
    ),
    (W + "presets: {big: {width: 9, height: 9, suffix: a/b}}\n", 4, f'presets.big.suffix: "a/b": {SUFFIX}'),
    (W + "presets: {small: {suffix: ''}}\n", 4, f'presets.small.suffix: "": {SUFFIX}'),
    (
        W + "presets: {optimized: {width: 9, height: 9, suffix: _q}}\n",
        4,
        'presets.optimized: "optimized" is no name for a preset; choose another one',
    ),
    (W + "presets: null\n", 4, f"presets: {EMPTY_SECTION}"),
    (W + "presets: [a]\n", 4, "presets: a list is not a section of keys"),
    (W + "presets: {big: 3}\n", 4, f"presets.big: 3 is not a section of keys; its keys are {PRESET}"),
    (W + "presets: {small: {quality: 0}}\n", 4, "presets.small.quality: 0 is out of range; allowed: at least 1"),
    (W + "presets: {small: {quality: 101}}\n", 4, "presets.small.quality: 101 is out of range; allowed: at most 100"),
    (W + "presets: {small: {quality: 85.5}}\n", 4, "presets.small.quality: 85.5 is not a whole number"),
    (
        W + "presets: {small: {quality: '85'}}\n",
        4,
        'presets.small.quality: "85" is not a whole number; write 85 without quotes',
    ),
    (W + "presets: {small: {width: 150px}}\n", 4, 'presets.small.width: "150px" is not a whole number'),
    (
        W + "presets: {small: {format: jpg}}\n",
        4,
        'presets.small.format: "jpg" is not allowed; allowed: jpeg, png, webp or avif',
    ),
    (
        W + "presets: {small: {fit: crop}}\n",
        4,
        'presets.small.fit: "crop" is not allowed; allowed: contain, cover, stretch or pad',
    ),
    (W + "presets: {small: {background: white}}\n", 4, f'presets.small.background: "white" {COLOUR}'),
    (W + "presets:\n  small:\n    background: #fff\n", 6, f"presets.small.background: null {COLOUR}"),
    (W + "presets: {small: {sharpen: 9}}\n", 4, "presets.small.sharpen: 9 is out of range; allowed: at most 5"),
    (W + "presets: {small: {sharpen: .nan}}\n", 4, "presets.small.sharpen: nan is out of range; allowed: at most 5"),
    (
        W + "    presets: [smal]\n",
        4,
        'watches[0].presets: unknown preset "smal"; known: banner, large, medium, preview, small, square',
    ),
    (W + "    presets: small\n", 4, f'watches[0].presets: "small" {NO_LIST}; write ["small"]'),
    (W + "    presets: null\n", 4, f"watches[0].presets: {EMPTY_LIST}"),
    (W + "    presets: [small, small]\n", 4, "watches[0].presets: a preset stands twice"),
    # hooks
    (
        W + f"hooks: [{{name: h, events: [redy], {TRUE}}}]\n",
        4,
        'hooks[0].events[0]: "redy" is not allowed; allowed: ready, failed, removed or batch_done',
    ),
    (W + f"hooks: [{{name: h, events: ready, {TRUE}}}]\n", 4, f'hooks[0].events: "ready" {NO_LIST}; write ["ready"]'),
    (W + f"hooks: [{{name: h, events: [], {TRUE}}}]\n", 4, "hooks[0].events: is empty; give at least one"),
    (W + f"hooks: [{{events: [ready], {TRUE}}}]\n", 4, "hooks[0].name: is missing; it has to be given"),
    (
        W + f"hooks: [{{name: My Hook, events: [ready], {TRUE}}}]\n",
        4,
        'hooks[0].name: "My Hook" is not allowed; allowed: 1 to 32 of a–z, 0–9 and -',
    ),
    (W + "hooks: {}\n", 4, f"hooks: a section {NO_LIST}"),
    (W + "hooks:\n", 4, f"hooks: {EMPTY_LIST}"),
    (W + "hooks: [{name: h, events: [ready]}]\n", 4, "hooks[0]: has to have either run or url"),
    (H + TRUE + ", url: 'http://x/'}]\n", 4, "hooks[0]: has to have either run or url"),
    (H + "url: 'ftp://x/'}]\n", 4, f'hooks[0].url: "ftp://x/" {ADDRESS}'),
    (H + "run: /bin/true}]\n", 4, f'hooks[0].run: "/bin/true" {NO_LIST}; write ["/bin/true"]'),
    (H + "run: [no-such-program]}]\n", 4, "hooks[0].run: no-such-program does not exist; name a program, or its file"),
    (H + TRUE + ", retries: -1}]\n", 4, "hooks[0].retries: -1 is out of range; allowed: at least 0"),
    (H + TRUE + ", timeout: 0s}]\n", 4, "hooks[0].timeout: has to be more than nothing, such as 30s"),
    (H + TRUE + ", watches: [x]}]\n", 4, 'hooks[0].watches: no watch is called "x"; known: in'),
    (
        H + "url: 'http://x/', secret: x}]\n",
        4,
        "hooks[0].secret: a configuration is no place for secrets; use secret_file, or $HOTFOLDER_HOOKS__0__SECRET",
    ),
    # watches
    ("watches: {path: in, output: out}\n", 1, f"watches: a section {GIVE_WATCH}"),
    ("watches:\n", 1, f"watches: null {GIVE_WATCH}"),
    ("watches: []\n", 1, "watches: no watch; give at least one with path and output"),
    ("watches: [{path: in}]\n", 1, "watches[0].output: is missing; it has to be given"),
    ("watches: [{path: '', output: out}]\n", 1, 'watches[0].path: "" is empty; name a folder'),
    ("watches: [{path: in, output: ''}]\n", 1, 'watches[0].output: "" is empty; name a folder'),
    ('watches: [{path: "a\\0b", output: out}]\n', 1, 'watches[0].path: "a\\x00b" has a NUL character; name a folder'),
    ("watches: [{path: 5, output: out}]\n", 1, "watches[0].path: 5 is not text; write it in quotes"),
    (W + "    name: My Photos\n", 4, 'watches[0].name: "My Photos" is not allowed; allowed: 1 to 32 of a–z, 0–9 and -'),
    (W + "    optimize: false\n", 4, "watches[0].optimize: false is not a section of keys; write {enabled: false}"),
    (W + "    optimize: true\n", 4, "watches[0].optimize: true is not a section of keys; write {enabled: true}"),
    (W + "    optimize: {target: 0}\n", 4, "watches[0].optimize.target: 0 is out of range; allowed: at least 1"),
    (
        W + "    analyze: maybe\n",
        4,
        'watches[0].analyze: "maybe" is not a section of keys; allowed: true, false, or keys such as {gps: true}',
    ),
    (
        W + "    analyze: {faces: true}\n",
        4,
        "watches[0].analyze.faces: unknown key; allowed: enabled, exif, gps, pixels, phash, placeholder",
    ),
    (W + "    exclude: ['[a-']\n", 4, f'watches[0].exclude: "[a-" {CLOSED}'),
    (W + "    exclude: ['a**[']\n", 4, f'watches[0].exclude: "a**[" {CLOSED}'),
    (
        W + "    include: ['[z-a].jpg']\n",
        4,
        'watches[0].include: "[z-a].jpg" is no glob pattern: bad character range z-a',
    ),
    (W + "    exclude: ['']\n", 4, 'watches[0].exclude: "" is empty, and matches nothing; remove it'),
    (
        W + "    exclude: ['#recycle']\n",
        4,
        'watches[0].exclude: "#recycle" is a comment to gitignore, and matches nothing; write \\#recycle',
    ),
    (W + "    exclude: '*.png'\n", 4, f'watches[0].exclude: "*.png" {NO_LIST}; write ["*.png"]'),
    (W + "    settle: -1s\n", 4, f'watches[0].settle: "-1s" {DURATION}'),
    (W + "    settle: 5\n", 4, f"watches[0].settle: 5 {DURATION}"),
    (
        W + "    settle: 99999999999999999999d\n",
        4,
        'watches[0].settle: "99999999999999999999d" is too long; allowed: at most 3650d',
    ),
    (W + "    rescan_interval: daily@25:00\n", 4, f'watches[0].rescan_interval: "daily@25:00" {INTERVAL}'),
    (W + "    rescan_interval: 4000d\n", 4, 'watches[0].rescan_interval: "4000d" is too long; allowed: at most 3650d'),
    (
        W + "    delete_guard: {fraction: 0.2}\n",
        4,
        "watches[0].delete_guard.fraction: 0.2 is not a share; allowed: 0% to 100%",
    ),
    (
        W + "    files: {mode: '0999'}\n",
        4,
        'watches[0].files.mode: "0999" is not a mode; allowed: three octal digits '
        'in quotes, such as "0644" (unquoted it is 420)',
    ),
    # sections
    (W + "pool:\n", 4, f"pool: {EMPTY_SECTION}"),
    (W + "pool: [1]\n", 4, f"pool: a list is not a section of keys; its keys are {POOL}"),
    (W + "pool: {worker: 2}\n", 4, f"pool.worker: unknown key; did you mean workers? allowed: {POOL}"),
    (W + "pool: {job_timeout: 0s}\n", 4, "pool.job_timeout: has to be more than nothing, such as 120s"),
    (W + "http: off\n", 4, f"http: false is not a section of keys; its keys are {HTTP}"),
    (W + "http: {port: '80'}\n", 4, 'http.port: "80" is not a whole number; write 80 without quotes'),
    (W + "http: {port: -1}\n", 4, "http.port: -1 is out of range; allowed: at least 0"),
    (
        W + "http: {host: 'bad host'}\n",
        4,
        'http.host: "bad host" is no address; allowed: an IP address or a name of this machine',
    ),
    (W + "http: {root_path: photos}\n", 4, 'http.root_path: "photos" has to begin with /, such as /photos'),
    (W + "http: {hosts: nas.local}\n", 4, f'http.hosts: "nas.local" {NO_LIST}; write ["nas.local"]'),
    (W + "http: {token_file: /no/such}\n", 4, "http.token_file: /no/such cannot be read: No such file or directory"),
    (W + "backlog: {window: '25:00-06:00'}\n", 4, f'backlog.window: "25:00-06:00" {WINDOW}'),
    (W + "backlog: {window: 22:00}\n", 4, f"backlog.window: 1320 {WINDOW}"),
    (
        W + "backlog: {window: '06:00-06:00'}\n",
        4,
        'backlog.window: "06:00-06:00" begins when it ends; leave the '
        "window out where the backlog may always be worked on",
    ),
    (W + "limits: {max_bytes: -5MB}\n", 4, f'limits.max_bytes: "-5MB" {SIZE}'),
    (W + "limits: {max_bytes: 5000}\n", 4, f"limits.max_bytes: 5000 {SIZE}"),
    (
        W + "limits: {max_bytes: 99999999999GB}\n",
        4,
        'limits.max_bytes: "99999999999GB" is larger than any disk; allowed: less than 9000000000GB',
    ),
    (W + "limits: {max_pixels: 25MP}\n", 4, f'limits.max_pixels: "25MP" {COUNT}'),
    (W + "log: {level: verbose}\n", 4, 'log.level: "verbose" is not allowed; allowed: debug, info, warning or error'),
    (W + "fsync: 'true'\n", 4, 'fsync: "true" is not a switch; allowed: true or false; write true without quotes'),
    (W + "state: 5\n", 4, "state: 5 is not text; write it in quotes"),
    (W + "state:\n", 4, "state: is empty; it has to be text, or to be left out"),
    (W + "state: 2024-13-01\n", 4, 'state: "2024-13-01" month must be in 1..12; text has to stand in quotes'),
    (W + "watch: 1\n", 4, f"watch: unknown key; did you mean watches? allowed: {TOP}"),
    # YAML
    (W + "    optimize:\n\tenabled: true\n", 5, "not YAML: a tab stands before the value; YAML takes spaces alone"),
    (W + "    exclude: *.png\n", 4, "not YAML: a value that begins with * has to stand in quotes"),
    (W + "state: @x\n", 4, "not YAML: a value that begins with @ has to stand in quotes"),
    (
        'watches:\n  - path: "C:\\photos"\n',
        2,
        "not YAML: a backslash in double quotes begins an escape; use single quotes",
    ),
    (
        W + "    name: 'abc\n",
        5,
        "not YAML: found unexpected end of stream, while scanning a quoted scalar that begins in line 4",
    ),
    (W + "---\nstate: x\n", 4, "not YAML: a second document begins here; a configuration is one"),
    (W + "state: !!python/object:os.system x\n", 4, "state: tags (!…) are not allowed; write a plain value"),
    (W + "state: x\nstate: y\n", 5, "state: stands twice; keep one of them"),
    ("a: &a [x,x]\nb: &b [*a,*a]\n", 1, "b[0]: aliases (*name) are not allowed; write the value out"),
    ("? [a]\n: b\n", 1, "the file: a key has to be a word"),
    (W + "state: a\0b\n", 4, "a control character (U+0000) stands there; remove it"),
    ("a: " + "[" * 5000 + "]" * 5000 + "\n", 0, "nested too deeply"),
    ("hello\n", 1, "a configuration is a mapping of keys, such as `watches:`"),
    ("", 0, "watches: is missing; it has to be given"),
]


def refusal(file: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(file), environ or {})
    return str(caught.value)


@pytest.mark.parametrize(("text", "line", "expected"), TABLE, ids=[str(at) for at in range(len(TABLE))])
def test_a_wrong_configuration(tmp_path: Path, text: str, line: int, expected: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert refusal(file) == f"{file}:{f'{line}:' if line else ''} {expected}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (W.encode("utf-16"), ": is UTF-16 text; save it as UTF-8"),
        (W.encode() + b"state: \xe9\n", ":4: byte 0xe9 is no UTF-8 text; save the file as UTF-8"),
        (b"#" * 1_000_001, ": larger than 1000000 bytes, which no configuration is"),
    ],
)
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    assert refusal(file) == f"{file}{expected}"


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: Is a directory; name a readable file with -c"
    missing = tmp_path / "no.yaml"
    assert refusal(missing) == f"{missing}: No such file or directory; name a readable file with -c"


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + W.encode(), W.replace("\n", "\r\n").encode()])
def test_marks_and_line_ends_of_editors_are_no_matter(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    assert load(str(file), {}).config.watches[0].name == "in"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("POOL__WORKERS", "many", 'pool.workers: "many" is not a number of workers; allowed: auto, or 2 to 32'),
        ("FSYNC", "perhaps", 'fsync: "perhaps" is not a switch; allowed: true or false'),
        ("HTTP__PORT", "eighty", 'http.port: "eighty" is not a whole number'),
        ("WATCHES__0__SETTLE", "soon", f'watches[0].settle: "soon" {DURATION}'),
        ("LOG__LEVEL", "loud", 'log.level: "loud" is not allowed; allowed: debug, info, warning or error'),
        ("POOL", "[1", f'pool: "[1" is not a section of keys; its keys are {POOL}'),
    ],
)
def test_a_wrong_variable(tmp_path: Path, name: str, value: str, expected: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(W)
    assert refusal(file, {f"HOTFOLDER_{name}": value}) == f"$HOTFOLDER_{name}: {expected}"


@pytest.mark.parametrize("name", ["NOPE", "WATCHES__5__PATH", "POOL__WORKERS__X", "WATCHES__-1__PATH", ""])
def test_a_variable_that_names_no_key(tmp_path: Path, name: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(W)
    told = f"environment variable HOTFOLDER_{name} names no key of the configuration; it is left out"
    assert load(str(file), {f"HOTFOLDER_{name}": "1"}).warnings == (told,)
