"""A headless Chromium that tells what a page asked the network for."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --disable-default-apps "
    "--hide-scrollbars --enable-logging=stderr"
).split()
# Names lead nowhere, so that a request fails at once; it is logged all the same.
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND"


@dataclass(frozen=True)
class Visit:
    """What a page said on the console, and which addresses it made the browser open."""

    console: list[str]
    opened: set[str]


def visit(file: Path, scratch: Path, *flags: str) -> Visit:
    """Open a page; `flags` say what to do with it, as --screenshot=…."""
    log = scratch / "net.json"
    command = [
        str(CHROMIUM),
        *FLAGS,
        NOWHERE,
        f"--user-data-dir={scratch / 'profile'}",
        f"--log-net-log={log}",
    ]
    command += [*flags, f"file://{file}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return Visit(said, _opened(json.loads(log.read_text())))


def _opened(log: dict) -> set[str]:
    """Addresses of requests whose initiator is a page; the browser itself may call home."""
    kinds = log["constants"]["logEventTypes"]
    starts = (
        {kinds["URL_REQUEST_START_JOB"], kinds["CORS_REQUEST"]}
        if "CORS_REQUEST" in kinds
        else {kinds["URL_REQUEST_START_JOB"]}
    )
    found = set()
    for event in log["events"]:
        parameters = event.get("params", {})
        if event["type"] in starts and "url" in parameters:
            found.add((parameters["url"], parameters.get("initiator", "")))
    return found
