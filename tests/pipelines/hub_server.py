"""A small stand-in for the Hugging Face Hub on loopback: the part of its HTTP interface that models travel through.

Repositories with commits, branches and pull requests, private and gated ones, uploads as regular files and through Git
LFS, downloads with ranges, and connections that break on request. Written from what the client of huggingface_hub sends
and expects; it keeps everything in memory and checks no more of a token than that it is `TOKEN`.
"""

import base64
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

TOKEN = "hf_" + "x" * 34


@dataclass
class Repo:
    """A repository: its commits by hash, and where its branches point."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    lfs_paths: set[str] = field(default_factory=set)

    def commit(self, files: dict[str, bytes], ref: str = "main", message: str = "") -> str:
        """Replace or add files on a branch; the new commit's hash."""
        tree = {**self.commits.get(self.refs.get(ref, ""), {}), **files}
        oid = hashlib.sha1(f"{len(self.commits)} {sorted(tree)} {message}".encode()).hexdigest()
        self.commits[oid] = tree
        self.refs[ref] = oid
        self.messages.append(message)
        return oid

    def find(self, revision: str) -> str | None:
        """Commit hash of a branch or commit."""
        return revision if revision in self.commits else self.refs.get(revision)


class Hub:
    """The server's state, and switches for what should go wrong.

    Attributes:
        repos: by id.
        downloads: paths that were sent, in order.
        cuts: for each of the next downloads of weights, the bytes after which its connection breaks.
        down: if set, every answer is status 503.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.lfs: dict[str, bytes] = {}
        self.downloads: list[str] = []
        self.cuts: list[int] = []
        self.down = False
        self.url = ""

    def forget(self) -> None:
        """Back to an empty Hub on which nothing goes wrong."""
        url = self.url
        self.__init__()
        self.url = url

    def add(self, repo_id: str, files: dict[str, bytes], **switches: bool) -> Repo:
        """A repository with one commit."""
        repo = self.repos.setdefault(repo_id, Repo(**switches))
        repo.commit(files)
        return repo


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})


def make_app(hub: Hub) -> FastAPI:
    """The HTTP interface of `hub`."""
    app = FastAPI()

    def is_owner(request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {TOKEN}"

    def open_repo(request: Request, repo_id: str, revision: str) -> tuple[Repo, str] | Response:
        repo = hub.repos.get(repo_id)
        if repo is None or (repo.private and not is_owner(request)):
            return _error(404 if is_owner(request) else 401, "RepoNotFound", "Repository not found")
        if repo.gated and not is_owner(request):
            return _error(403, "GatedRepo", f"Access to model {repo_id} is restricted.")
        oid = repo.find(revision)
        if oid is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo, oid

    @app.middleware("http")
    async def fail_when_down(request: Request, answer: Callable):
        return Response("maintenance", 503) if hub.down else await answer(request)

    @app.post("/api/validate-yaml")
    async def validate_yaml():
        return {"errors": [], "warnings": []}

    @app.post("/api/repos/create")
    async def create(request: Request):
        if not is_owner(request):
            return _error(401, "", "Invalid username or password.")
        wanted = await request.json()
        repo_id = f"{wanted.get('organization') or 'tester'}/{wanted['name']}"
        answer = {"url": f"{hub.url}/{repo_id}", "name": repo_id, "id": repo_id}
        if repo_id in hub.repos:
            return JSONResponse({**answer, "error": "You already created this model repo"}, 409)
        visibility = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        hub.add(repo_id, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=visibility)
        return answer

    @app.get("/api/models/{owner}/{name}")
    @app.get("/api/models/{owner}/{name}/revision/{revision:path}")
    async def info(request: Request, owner: str, name: str, revision: str = "main"):
        found = open_repo(request, f"{owner}/{name}", revision)
        if isinstance(found, Response):
            return found
        repo, oid = found
        siblings = [{"rfilename": path} for path in repo.commits[oid]]
        return {"id": f"{owner}/{name}", "sha": oid, "private": repo.private, "tags": [], "siblings": siblings}

    @app.get("/api/models/{owner}/{name}/tree/{revision}")
    async def tree(request: Request, owner: str, name: str, revision: str):
        found = open_repo(request, f"{owner}/{name}", revision)
        if isinstance(found, Response):
            return found
        repo, oid = found
        return [_tree_entry(repo, path, content) for path, content in repo.commits[oid].items()]

    @app.post("/api/models/{owner}/{name}/preupload/{revision:path}")
    async def preupload(request: Request, owner: str, name: str, revision: str):
        files = (await request.json())["files"]
        modes = {entry["path"]: "lfs" if entry["path"].endswith(".safetensors") else "regular" for entry in files}
        return {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]}

    @app.post("/{owner}/{name}.git/info/lfs/objects/batch")
    async def lfs_batch(request: Request, owner: str, name: str):
        wanted = (await request.json())["objects"]
        return {
            "transfer": "basic",
            "objects": [
                {**entry, "actions": {"upload": {"href": f"{hub.url}/lfs/{entry['oid']}"}}} for entry in wanted
            ],
        }

    @app.put("/lfs/{oid}")
    async def lfs_upload(request: Request, oid: str):
        content = await request.body()
        if hashlib.sha256(content).hexdigest() != oid:
            return Response(status_code=422)
        hub.lfs[oid] = content
        return Response()

    @app.post("/api/models/{owner}/{name}/commit/{revision:path}")
    async def commit(request: Request, owner: str, name: str, revision: str):
        repo = hub.repos[f"{owner}/{name}"]
        if not is_owner(request):
            return _error(403, "", "You may not write to this repository")
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        files, message = {}, ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.lfs[value["oid"]]
                repo.lfs_paths.add(value["path"])
        ref, extra = revision, {}
        if request.query_params.get("create_pr"):
            ref = "refs/pr/1"
            repo.refs[ref] = repo.refs["main"]
            extra = {"pullRequestUrl": f"{hub.url}/{owner}/{name}/discussions/1"}
        oid = repo.commit(files, ref, message)
        return {"success": True, "commitUrl": f"{hub.url}/{owner}/{name}/commit/{oid}", "commitOid": oid, **extra}

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def resolve(request: Request, owner: str, name: str, revision: str, path: str):
        found = open_repo(request, f"{owner}/{name}", revision)
        if isinstance(found, Response):
            return found
        repo, oid = found
        content = repo.commits[oid].get(path)
        if content is None:
            response = _error(404, "EntryNotFound", f"Entry not found: {path}")
            response.headers["X-Repo-Commit"] = oid
            return response
        headers = {
            "X-Repo-Commit": oid,
            "ETag": f'"{_etag(repo, path, content)}"',
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(content))})
        hub.downloads.append(path)
        sent = hub.cuts.pop(0) if hub.cuts and path.endswith(".safetensors") else len(content)
        return _send(content, request.headers.get("range"), sent, headers)

    return app


def _etag(repo: Repo, path: str, content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if path in repo.lfs_paths else _blob_id(content)


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _tree_entry(repo: Repo, path: str, content: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob_id(content)}
    if path in repo.lfs_paths:
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _send(content: bytes, range_header: str | None, sent: int, headers: dict[str, str]) -> Response:
    """The content from the wanted byte on; where fewer bytes are sent than announced, the connection breaks."""
    start = int(range_header.removeprefix("bytes=").split("-")[0]) if range_header else 0
    body = content[start:]
    headers = {**headers, "Content-Length": str(len(body))}
    if range_header:
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return StreamingResponse(iter([body[:sent]]), 206 if range_header else 200, headers)


class RunningHub:
    """`with RunningHub() as hub:` serves a fresh `Hub` at `hub.url` on a free port."""

    def __enter__(self) -> Hub:
        self.hub = Hub()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(make_app(self.hub), log_level="critical"))
        self.thread = threading.Thread(target=self.server.run, args=([listener],), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self.hub

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()
