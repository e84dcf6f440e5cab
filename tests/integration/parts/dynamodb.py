"""DynamoDB Local on loopback, installed by scripts/parts.sh: `dynamodb` is one that all tests of a run share, in memory.
It does not check signatures; the stand-in for RDS does."""
import pathlib
import subprocess
import tempfile

import boto3
import pytest

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


@pytest.fixture(scope="session")
def dynamodb():
    d = DynamoDb().start()
    yield d
    d.stop()
