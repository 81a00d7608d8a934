"""A server on this machine that plays the Hugging Face hub, or a plain bucket."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
import pytest


class Server:
    """The files of a folder over HTTP, as Hugging Face's hub and as a plain bucket serve them."""

    def __init__(self, folder):
        self.folder = folder
        self.asked = []
        self.paths = []
        self.keys = []
        self.cut = None
        self.elsewhere = ""  # an address that has the weights instead
        self.refusal = None  # a status and the hub's word for the reason
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.answer(self, has_body=True)

            def do_HEAD(self):
                served.answer(self, has_body=False)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler, *, has_body):
        name = handler.path.rpartition("/")[2]
        self.asked.append(name)
        self.paths.append(handler.path)
        self.keys.append(handler.headers.get("Authorization"))
        path = self.folder / name
        content = path.read_bytes() if path.is_file() else b""
        is_elsewhere = bool(self.elsewhere) and name.endswith(".safetensors")
        if self.refusal is not None:
            handler.send_response(self.refusal[0])
            handler.send_header("X-Error-Code", self.refusal[1])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if is_elsewhere:
            handler.send_response(302)
            handler.send_header("Location", f"{self.elsewhere}/{name}")
            handler.send_header("X-Linked-Size", str(len(content)))
            content, has_body = b"", False
        else:
            handler.send_response(200 if path.is_file() else 404)
        handler.send_header("Content-Length", str(len(content)))
        etag = hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
        handler.send_header("X-Linked-ETag" if is_elsewhere else "ETag", f'"{etag}"')
        handler.send_header("X-Repo-Commit", "c0ffee" * 6 + "c0de")
        if not path.is_file():
            handler.send_header("X-Error-Code", "EntryNotFound")
        handler.end_headers()
        if has_body:
            handler.wfile.write(content[: self.cut])
            handler.close_connection = True


@pytest.fixture
def serve():
    """Serve a folder until the test ends."""
    servers = []

    def start(folder):
        servers.append(Server(folder))
        threading.Thread(target=servers[-1].http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def hub(serve, monkeypatch, tmp_path):
    """Lets `huggingface_hub` take a folder for the hub, with an empty cache."""
    constants = huggingface_hub.constants

    def point(folder):
        server = serve(folder)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        return server

    return point
