"""The AWS client's requests to S3 are taken by a real S3 server, and mean what boto3 says they do."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import urllib.parse

import pytest

from conftest import WEIR
from parts.s3 import s3  # noqa: F401


@pytest.fixture(scope="module")
def call(s3, tmp_path_factory):  # noqa: F811
    build, program = pathlib.Path(WEIR).parent, tmp_path_factory.mktemp("s3") / "s3_call"
    with open(build / "s3_call.lock", "w") as lock:  # nobody links what another runs
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["cmake", "--build", build, "--target", "s3_call"], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(build / "s3_call", program)

    def run(method, path, query="", body=b"", ok=True, **env):
        r = subprocess.run([program, method, path, query], input=body, capture_output=True,
                           env={**os.environ, **s3.env(), **env}, timeout=60)
        assert (r.returncode == 0) == ok, r.stderr
        return r.stdout if ok else r.stderr.decode()

    return run


def test_objects_go_there_and_come_back(s3, call):  # noqa: F811
    client = s3.client()
    call("PUT", "/segments")
    assert [b["Name"] for b in client.list_buckets()["Buckets"]] == ["segments"]
    for key in ("plain", "a b/c+d=e", "\u00e4/100%/~x_-.", "deep/er/one"):
        body = os.urandom(300_000)
        call("PUT", "/segments/" + urllib.parse.quote(key, safe="/~"), body=body)
        assert client.get_object(Bucket="segments", Key=key)["Body"].read() == body
        client.put_object(Bucket="segments", Key=key, Body=body[::-1])
        assert call("GET", "/segments/" + urllib.parse.quote(key, safe="/~")) == body[::-1]
    listed = call("GET", "/segments", "list-type=2&prefix=deep%2F").decode()
    assert "<Key>deep/er/one</Key>" in listed and "plain" not in listed
    call("DELETE", "/segments/plain")
    assert "404" in call("GET", "/segments/plain", ok=False)


def test_a_wrong_key_is_refused(call):
    assert "403" in call("GET", "/segments", "list-type=2", ok=False, AWS_SECRET_ACCESS_KEY="wrong")
