"""A headless Chromium that tells what a page asked the network for."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --enable-logging=stderr"
).split()
# All names lead nowhere, so that a request fails at once; it is logged all the same.
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND"
# What the log calls the initiator of requests by which the browser itself calls home.
ITSELF = "not an origin"


@dataclass(frozen=True)
class Visit:
    """What a page wrote to the console, and the addresses on the network that it asked for."""

    console: list[str]
    asked: set[str]


def visit(file: Path, scratch: Path, *flags: str) -> Visit:
    """Open a page; `flags` say what to do with it, as --screenshot=…."""
    log = scratch / "net.json"
    command = [str(CHROMIUM), *FLAGS, NOWHERE, f"--user-data-dir={scratch / 'profile'}"]
    command += [f"--log-net-log={log}", *flags, f"file://{file}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    net = json.loads(log.read_text())
    start = net["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    begun = [event.get("params", {}) for event in net["events"] if event["type"] == start]
    return Visit(lines, {of["url"] for of in begun if "url" in of and of.get("initiator") != ITSELF})
