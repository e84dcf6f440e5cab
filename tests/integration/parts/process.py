"""What real servers have in common that tests install, start, stop and kill: one process, a log, and a moment when it
is ready."""
import pathlib
import subprocess
import time

from conftest import ROOT


def part(name):
    """Where scripts/parts.sh has put it."""
    r = subprocess.run([ROOT / "scripts" / "parts.sh", name], stdout=subprocess.PIPE, text=True, timeout=600)
    assert r.returncode == 0, f"scripts/parts.sh {name} failed"
    return pathlib.Path(r.stdout.strip())


def certificate(folder, **run):
    """A key and a certificate of loopback in a folder, which is its own root."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True, cwd=folder, **run)
    return key, cert


class Process:
    """Of a class with `command`, `is_ready` (which may raise what `not_ready` names) and `log`, a path."""
    process, folder, not_ready = None, None, (OSError,)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        self.wait_ready()
        return self

    def wait_ready(self, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{type(self).__name__} ended: {self.log.read_text()[-3000:]}")
            try:
                if self.is_ready():
                    return
            except self.not_ready:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"{type(self).__name__} is not ready: {self.log.read_text()[-3000:]}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()
