"""A Hugging Face Hub on loopback: repositories in memory, as the Hub's client asks for them."""

import base64
import json
import threading
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

LFS = ".safetensors", ".bin"


class FakeHub:
    """Repositories, and what is to go wrong.

    `repositories` holds by `OWNER/REPO` a list of versions, the last of which is main, each a dict
    of bytes by file name. A download of a large file breaks off after `breaks_after` bytes, `breaks`
    times.
    """

    def __init__(self):
        self.repositories, self.asked, self.sent = {}, [], []
        self.breaks_after = self.breaks = 0
        self.status = self.stated_sha256 = self.stated_size = None
        self.listed, self.headers = None, {}  # instead of the listing, and of headers of files

    def publish(self, name, **files):
        """Add a version of a repository; return its commit. In names, `_` stands for the dot."""
        version = {file.replace("__", "."): content for file, content in files.items()}
        self.repositories.setdefault(name, []).append(version)
        return self.commit(name)

    def commit(self, name, number=-1):
        versions = self.repositories[name]
        return sha1(f"{name} {number % len(versions)}".encode()).hexdigest()

    def find(self, name, revision):
        """Return (commit, files), or None."""
        for number, files in enumerate(self.repositories[name]):
            commit = self.commit(name, number)
            newest = number == len(self.repositories[name]) - 1
            if revision == commit or (revision == "main" and newest):
                return commit, files
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        url = urlparse(self.path)
        words = [unquote(word) for word in url.path.strip("/").split("/")]
        self.hub.asked.append(f"{self.command} {url.path}")
        if self.hub.status:
            return self.refuse(self.hub.status, "")
        if words[:2] == ["api", "models"]:
            name, revision = "/".join(words[2:4]), words[5] if len(words) > 5 else "main"
        else:
            name, revision = "/".join(words[:2]), words[3]
        if name not in self.hub.repositories:
            return self.refuse(404, "RepoNotFound")
        found = self.hub.find(name, revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        commit, files = found
        if words[:2] == ["api", "models"]:
            listed = self.hub.listed or json.dumps(self.listed(words, name, commit, files)).encode()
            return self.send(listed, {})
        if (file := words[4]) not in files:
            return self.refuse(404, "EntryNotFound", commit)
        return self.send_file(file, files[file], commit, body)

    def do_POST(self):
        """Make a repository, or take a commit; each file is sent within it, none beforehand."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        words = self.path.partition("?")[0].strip("/").split("/")
        self.hub.asked.append(f"POST {self.path}")
        if self.hub.status:
            return self.refuse(self.hub.status, "")
        if words[1:] == ["repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.hub.repositories.setdefault(name, [{}])
            return self.answer_json({"url": f"http://{self.headers['Host']}/{name}"})
        if words[1:] == ["validate-yaml"]:
            return self.answer_json({"errors": [], "warnings": []})
        if words[4] == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            kept = {"uploadMode": "regular", "shouldIgnore": False}
            return self.answer_json({"files": [{"path": path} | kept for path in paths]})
        assert words[4:] == ["commit", "main"]
        name = "/".join(words[2:4])
        files = dict(self.hub.repositories[name][-1])
        for line in map(json.loads, body.decode().splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        self.hub.repositories[name].append(files)
        oid = self.hub.commit(name)
        url = f"http://{self.headers['Host']}/{name}/commit/{oid}"
        return self.answer_json({"commitOid": oid, "commitUrl": url})

    def answer_json(self, values):
        self.send(json.dumps(values).encode(), {"Content-Type": "application/json"})

    def listed(self, words, name, commit, files):
        if words[4:5] != ["tree"]:
            assert parse_qs(urlparse(self.path).query)["blobs"]
            return self.listing(name, commit, files)
        return [{"type": "file", "path": file, "size": len(content), "oid": "0" * 40}
                for file, content in files.items()]  # fmt: skip

    def listing(self, name, commit, files):
        siblings = []
        for file, content in files.items():
            size = self.hub.stated_size if file.endswith(LFS) else None
            entry = {"rfilename": file, "size": size or len(content), "blobId": "0" * 40}
            if file.endswith(LFS):
                entry["lfs"] = {
                    "sha256": self.etag(file, content),
                    "size": len(content),
                    "pointerSize": 130,
                }
            siblings.append(entry)
        return {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": [],
                "private": False, "downloads": 0, "likes": 0}  # fmt: skip

    def etag(self, file, content):
        stated = self.hub.stated_sha256 if file.endswith(LFS) else None
        return stated or (sha256 if file.endswith(LFS) else sha1)(content).hexdigest()

    def send_file(self, file, content, commit, body):
        headers = {
            "X-Repo-Commit": commit,
            "ETag": f'"{self.etag(file, content)}"',
            "Accept-Ranges": "bytes",
        } | self.hub.headers
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if body:
            self.hub.sent.append((file, start))
        self.send(content[start:], headers, body, 206 if start else 200, file.endswith(LFS))

    def send(self, content, headers, body=True, status=200, may_break=False):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if not body:
            return
        if may_break and self.hub.breaks:
            self.hub.breaks -= 1
            self.wfile.write(content[: self.hub.breaks_after])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(content)

    def refuse(self, status, code, commit=None):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    """Yield (a `FakeHub`, its address)."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub, server.daemon_threads = hub, True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
