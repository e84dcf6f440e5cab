"""DynamoDB Local on loopback, installed by scripts/parts.sh: `dynamodb` is one that all tests of a run share, in memory.
It does not check signatures; the stand-in for RDS does."""
import contextlib
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading

import boto3
import pytest
import requests

from conftest import free_port
from parts.process import Process, part


class DynamoDb(Process):
    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        lib = part("dynamodb") / "lib"
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.library.path={lib}",
             "-cp", f"{lib}/*", str(pathlib.Path(__file__).with_name("DynamoDbOnLoopback.java")), "-port", str(self.port),
             "-inMemory", "-sharedDb", "-disableTelemetry"], stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.startswith("READY"):
                return self
        self.log.seek(0)
        raise RuntimeError("DynamoDB Local did not start: " + self.log.read()[-2000:])

    def client(self):
        return boto3.client("dynamodb", endpoint_url=self.url, region_name="eu-test-1", aws_access_key_id="x",
                            aws_secret_access_key="y")


@contextlib.contextmanager
def throttling(url, refuse):
    """Before a DynamoDB, whose calls are refused as long as refuse(table) says the name of an error; yields its URL."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            error = refuse(json.loads(body).get("TableName"))
            if error:
                status, answer = 400, b'{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"too fast"}' % error.encode()
            else:
                r = requests.post(url, data=body, headers=dict(self.headers), timeout=60)
                status, answer = r.status_code, r.content
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(scope="session")
def dynamodb():
    d = DynamoDb().start()
    yield d
    d.stop()
