"""clp-s (the binary that CLP_S names): it compresses a file and searches none of our queries over HTTP, so only
ingest and size are measured. VictoriaLogs is a server like Weir and stands in server.py."""
import os
import resource
import shutil
import subprocess
import time

from server import disk_bytes


def clp_s(binary, data, work):
    out = work / "clp-s"
    shutil.rmtree(out, ignore_errors=True)
    command = [binary, "c", str(out), str(data.path)]
    if data.source.time:
        command[2:2] = ["--timestamp-key", data.source.time]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, complaint = process.communicate()
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise RuntimeError(f"clp-s ended with {process.returncode}: {complaint.decode()[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size, _ = disk_bytes(out)
    shutil.rmtree(out, ignore_errors=True)
    return {"cpu": cpu, "wall": wall, "disk": size}


def binaries():
    """{name: path} of the peers that the environment names."""
    found = {}
    for name in ("VICTORIA_LOGS", "CLP_S"):
        path = os.environ.get(name)
        if path and os.access(path, os.X_OK):
            found[name] = path
        elif path:
            raise SystemExit(f"{name}={path}: no such program")
    return found
