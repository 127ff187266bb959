"""Answers pip-audit from a clone of PyPA's advisory database, where its services can't be reached.

`python tests/advisories.py CLONE COMMAND …` runs the command with --osv-url leading here.
"""

import json
import subprocess
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

Advisories = dict[str, list[dict[str, Any]]]


LOADER = getattr(
    yaml, "CBaseLoader", yaml.BaseLoader
)  # all text: versions look like numbers, times like times


def read(clone: Path) -> Advisories:
    """By package; OSV's format, in YAML, a file each: vulns/<package>/<id>.yaml."""
    found: Advisories = defaultdict(list)
    for file in sorted((clone / "vulns").glob("*/*.yaml")):
        advisory = yaml.load(file.read_text(encoding="utf-8"), LOADER)
        for name in {canonicalize_name(affected["package"]["name"]) for affected in advisory["affected"]}:
            found[name].append(advisory)
    return found


def matching(advisories: Advisories, name: str, version: str) -> list[dict[str, Any]]:
    """Those that stand and hold for this version, by OSV's rules of evaluation."""
    name = canonicalize_name(name)
    return [
        advisory
        for advisory in advisories.get(name, [])
        if "withdrawn" not in advisory
        and any(
            _holds(affected, version)
            for affected in advisory["affected"]
            if canonicalize_name(affected["package"]["name"]) == name
        )
    ]


def _holds(affected: dict[str, Any], version: str) -> bool:
    if version in affected.get("versions", []):
        return True
    ranges = [r["events"] for r in affected.get("ranges", []) if r["type"] == "ECOSYSTEM"]
    return any(_inside(events, Version(version)) for events in ranges)


def _inside(events: list[dict[str, str]], version: Version) -> bool:
    inside = False
    for kind, text in sorted((pair for event in events for pair in event.items()), key=_place):
        bound = _version(text)
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            inside = False
    return inside


def _place(event: tuple[str, str]) -> Version:
    return _version(event[1])


def _version(text: str) -> Version:
    return Version("0.dev0" if text == "0" else text)  # "0" is before all others


def serve(advisories: Advisories) -> ThreadingHTTPServer:
    """A server of OSV's query, at a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = matching(advisories, query["package"]["name"], query["version"])
            answer = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    clone, *command = sys.argv[1:]
    advisories = read(Path(clone))
    if not advisories:
        sys.exit(
            f"error: there must be advisories in vulns/<package>/*.yaml; found none in {clone!r}: "
            "give a clone of pypa/advisory-database"
        )
    count = len({advisory["id"] for several in advisories.values() for advisory in several})
    print(f"{count:,} advisories on {len(advisories):,} packages", file=sys.stderr)
    port = serve(advisories).server_port
    address = f"http://127.0.0.1:{port}/v1/query"
    sys.exit(
        subprocess.run(
            [*command, "--vulnerability-service", "osv", "--osv-url", address], check=False
        ).returncode
    )
