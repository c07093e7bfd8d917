"""A small server with one dataset, so that the true client of the hub can be used without a network.

`python -m helpers.hub_server FOLDER` prints its address and serves the files of the folder as dataset
``org/cache``, and the log of its requests in ``FOLDER.log``. It answers only what Evenhand asks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "datasets/org/cache"


class Dataset(BaseHTTPRequestHandler):
    """Answers requests about the dataset; its commit is a digest of its files."""

    protocol_version = "HTTP/1.1"
    root = Path()

    def _files(self):
        found = {path for path in self.root.rglob("*") if path.is_file()}
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in sorted(found)}

    def _commit(self):
        sha = hashlib.sha1()
        for name, data in self._files().items():
            sha.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
        return sha.hexdigest()

    def _answer(self, data, *, code=200, body=True, **headers):
        self.send_response(code)
        headers |= {"Content-Length": len(data), "X-Repo-Commit": self._commit()}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _json(self, value, **options):
        self._answer(json.dumps(value).encode(), Content_Type="application/json", **options)

    def do_HEAD(self):
        self._resolve(body=False)

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path in (f"/api/{NAME}", f"/api/{NAME}/revision/main", f"/api/{NAME}/revision/{self._commit()}"):
            self._json({"id": "org/cache", "sha": self._commit(), "siblings": [], "tags": []})
        elif path == f"/api/{NAME}/tree/{self._commit()}":
            files = self._files().items()
            listed = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in files]
            self._json(listed)
        else:
            self._resolve(body=True)

    def _resolve(self, *, body):
        name = self.path.removeprefix(f"/{NAME}/resolve/{self._commit()}/")
        data = self._files().get(name)
        if data is None:
            self._answer(b"", code=404, body=body, X_Error_Code="RepoNotFound")
        else:
            self._answer(data, body=body, ETag=f'"{hashlib.sha256(data).hexdigest()}"')

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith(f"/api/{NAME}/preupload/"):
            names = [file["path"] for file in json.loads(sent)["files"]]
            self._json(
                {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
            )
        elif self.path.startswith(f"/api/{NAME}/commit/"):
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    path = self.root / line["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
            self._json({"success": True, "commitUrl": f"{self.path}/x", "commitOid": self._commit()})
        else:
            self._answer(b"", code=404, X_Error_Code="RepoNotFound")

    def log_message(self, text, *values):
        with self.root.with_suffix(".log").open("a") as log:
            log.write(f"{text % values}\n")


if __name__ == "__main__":
    Dataset.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dataset)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
