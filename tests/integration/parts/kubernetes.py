"""A Kubernetes without machines: the real API server (with Debian's etcd), controllers and scheduler, and kwok in the kubelets'
place, which says that pods run, and whose exec runs programs of this machine. It has no logs: a container runtime keeps those.
KUBERNETES names a folder with kube-apiserver, kube-controller-manager, kube-scheduler and kwok, each built by `go build`: no
package has them."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest
import yaml

from conftest import free_port

TOKEN = "tests-token"


class Kubernetes:
    def __init__(self, programs, env):
        """env: of what is executed in pods."""
        self.programs, self.exec_env = pathlib.Path(programs), env
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-k8s-"))
        self.port, self.kubelet = free_port(), free_port()
        self.kubeconfig = self.folder / "kubeconfig"
        self.running = []

    def run(self, *command, env=None):
        with open(self.folder / (pathlib.Path(command[0]).name + ".log"), "w") as log:
            self.running.append(subprocess.Popen([str(c) for c in command], cwd=self.folder, stdout=log, stderr=log,
                                                 env={**os.environ, **(env or {})}))

    def write(self, name, *documents):
        path = self.folder / name
        path.write_text(yaml.safe_dump_all(documents))
        return path

    def start(self):
        f, etcd, peer = self.folder, free_port(), free_port()
        for name in ("sa", "kubelet"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f / f"{name}.key", "-out", f / f"{name}.crt",
                            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"], check=True, capture_output=True)
        (f / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self.write("kubeconfig", {
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": n, "context": {"cluster": "tests", "user": "admin"}} for n in ("tests", "poc")]})
        self.run("etcd", "--data-dir", f / "etcd", "--listen-client-urls", f"http://127.0.0.1:{etcd}", "--advertise-client-urls",
                 f"http://127.0.0.1:{etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls",
                 f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}")
        self.run(self.programs / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={self.port}",
                 "--bind-address=127.0.0.1", f"--cert-dir={f}/certs", f"--token-auth-file={f}/tokens.csv", "--authorization-mode=RBAC",
                 f"--service-account-key-file={f}/sa.crt", f"--service-account-signing-key-file={f}/sa.key",
                 "--service-account-issuer=https://tests", "--service-cluster-ip-range=10.0.0.0/24", "--kubelet-preferred-address-types=InternalIP")
        self.wait("api server", lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
        self.run(self.programs / "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0",
                 f"--service-account-private-key-file={f}/sa.key", "--concurrent-deployment-syncs=2")
        self.run(self.programs / "kube-scheduler", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0")
        self.start_kwok()
        return self

    def start_kwok(self):
        config = self.write("kwok.yaml", {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterExec", "metadata": {"name": "all"},
                                          "spec": {"execs": [{"local": {"workDir": str(self.folder)}}]}})
        self.run(self.programs / "kwok", f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes=true", "--node-lease-duration-seconds=40", f"--config={config}",
                 "--node-ip=127.0.0.1", f"--node-port={self.kubelet}", f"--server-address=127.0.0.1:{self.kubelet}",
                 f"--tls-cert-file={self.folder}/kubelet.crt", f"--tls-private-key-file={self.folder}/kubelet.key",
                 env=self.exec_env)
        node = self.write("node.yaml", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": {
                "kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": "node-1"}},
            "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}, "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"}}})
        self.kubectl("apply", "-f", node)
        self.wait("node", lambda: "True" in self.kubectl("get", "node", "node-1", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}").stdout)

    def env(self):
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *args, check=True, input=None):
        r = subprocess.run(["kubectl", *map(str, args)], capture_output=True, text=True, env=self.env(), timeout=400, input=input)
        assert not check or r.returncode == 0, (args, r.stdout, r.stderr)
        return r

    def wait(self, what, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for p in self.running:
                assert p.poll() is None, (p.args[0], (self.folder / (pathlib.Path(p.args[0]).name + ".log")).read_text()[-2000:])
            if condition():
                return
            time.sleep(0.3)
        raise AssertionError(f"{what} did not come about")

    def remove(self):
        for p in self.running:  # the API server says goodbye for a minute
            p.kill()
            p.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def programs():
    folder = os.environ.get("KUBERNETES")
    if not folder:
        pytest.skip("KUBERNETES names no folder with kube-apiserver and the others")
    return folder
