"""What the tests of inputs share: servers with inputs, certificates, waiting for records."""
import json
import pathlib
import subprocess
import time

import requests


def inputs(server):
    """What /api/v1/stats says of each input."""
    return requests.get(server.url + "/api/v1/stats", timeout=30).json()["inputs"]


def port(server, scheme):
    """The port of the input with that scheme."""
    return next(int(i["address"].rsplit(":", 1)[1]) for i in inputs(server) if i["scheme"] == scheme)


def with_inputs(make_server, *urls, name="data"):
    return make_server(name, args=[a for url in urls for a in ("--input", url)])


def wait_for(server, count, seconds=60, **query):
    """The records once there are so many; fails with what there is."""
    deadline = time.monotonic() + seconds
    rows, q = [], query.pop("q", "")
    while time.monotonic() < deadline:
        rows = server.query(q, **query)
        if len(rows) >= count:
            break
        time.sleep(0.05)
    assert len(rows) == count, (len(rows), rows[:5], inputs(server))
    return sorted(rows, key=lambda r: r["_time"].rstrip("Z"))


def make_certificates(folder):
    """A CA, and certificates by it for 127.0.0.1 and for a client: paths of PEM files by name."""
    folder = pathlib.Path(folder)

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={'127.0.0.1' if name == 'server' else name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")
    return {p.name: str(p) for p in folder.iterdir()}


def lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
