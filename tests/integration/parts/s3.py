"""SeaweedFS on loopback as an S3 server that checks signatures, installed by scripts/parts.sh."""
import json
import pathlib
import shutil
import tempfile

import boto3
import botocore.exceptions
import pytest

from conftest import free_port
from parts.process import Process, part

ACCESS, SECRET = "AKIDTESTS3", "s3cret/of+the=store"


class S3(Process):
    not_ready = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-s3-"))
        self.log, self.port = self.folder / "log", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (self.folder / "keys.json").write_text(json.dumps({"identities": [
            {"name": "tests", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin"]}]}))

    def command(self):
        ports = [f"-{of}.port{kind}={free_port()}" for of in ("master", "volume", "filer") for kind in ("", ".grpc")]
        return [part("seaweedfs") / "bin/weed", "server", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports, "-s3",
                f"-s3.port={self.port}", f"-s3.port.grpc={free_port()}", "-s3.port.iceberg=0", "-s3.port.lance=0",
                f"-s3.config={self.folder}/keys.json", "-master.volumeSizeLimitMB=64"]

    def is_ready(self):
        self.client().list_buckets()
        return True

    def client(self, secret=SECRET):
        return boto3.client("s3", endpoint_url=self.url, region_name="eu-test-1", aws_access_key_id=ACCESS,
                            aws_secret_access_key=secret, config=boto3.session.Config(retries={"total_max_attempts": 1}))

    def env(self):
        return {"AWS_ENDPOINT_URL_S3": self.url, "AWS_REGION": "eu-test-1", "AWS_ACCESS_KEY_ID": ACCESS,
                "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}

    def remove(self):
        self.kill()  # it takes its time to say goodbye
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def s3():
    server = S3()
    try:
        yield server.start()
    finally:
        server.remove()
