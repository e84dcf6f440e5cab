"""Completion driven through real shells, the manual page through groff, grep on a real terminal."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

import conftest
import pytest

BIN = os.path.dirname(os.path.abspath(conftest.WEIR))
COMMANDS = {"server", "agent", "ingest", "search", "grep", "status", "check", "config", "produce", "segment", "completion", "man"}


class Terminal:
    """A real one: tmux, 100 columns wide."""

    def __init__(self, folder, env=None, shell="bash --norc --noprofile"):
        self.socket = str(folder / "tmux")
        self.env = dict(os.environ, PATH=f"{BIN}:{os.environ['PATH']}", PS1="$ ", LC_ALL="C.UTF-8", **(env or {}))
        self.env.pop("TMUX", None)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "40", "-c", str(folder), shell)
        self.type("PS1='> '; clear", "Enter")
        self.wait_for(r"^> ?$")

    def tmux(self, *args):
        r = subprocess.run(["tmux", "-S", self.socket, *args], env=self.env, capture_output=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return r.stdout.decode()

    def type(self, text, *keys):
        self.tmux("send-keys", "-l", text)
        for key in keys:
            self.tmux("send-keys", key)

    def wait_for(self, pattern, seconds=60, colours=False):
        until = time.monotonic() + seconds
        while True:
            screen = self.tmux("capture-pane", "-p", *(["-e"] if colours else []))
            if re.search(pattern, screen, re.M):
                return screen
            assert time.monotonic() < until, f"{pattern} not on:\n{screen}"
            time.sleep(0.03)

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.env, capture_output=True)


@pytest.fixture
def terminal(tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    terminals = []

    def make(**kw):
        terminals.append(Terminal(tmp_path, **kw))
        return terminals[-1]
    yield make
    for t in terminals:
        t.close()


def bash_completes(line, folder):
    script = subprocess.run([conftest.WEIR, "completion", "bash"], capture_output=True, check=True).stdout.decode()
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
    words = words[:-1] if words[-2:] == ["=", ""] else words
    quoted = " ".join(f"'{w}'" for w in words)
    driver = f"compopt() {{ :; }}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _weir; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    r = subprocess.run(["bash", "-c", script + driver], capture_output=True, check=True, cwd=folder)
    return set(r.stdout.decode().split())


def test_bash_completes(tmp_path):
    (tmp_path / "app.log").touch()
    (tmp_path / "folder").mkdir()
    assert COMMANDS <= bash_completes("weir ", tmp_path)
    assert bash_completes("weir gr", tmp_path) == {"grep"}
    assert "--after-context" in bash_completes("weir grep --a", tmp_path)
    assert bash_completes("weir grep --color ", tmp_path) == {"auto", "always", "never"}
    assert bash_completes("weir grep --color=a", tmp_path) == {"auto", "always"}
    assert bash_completes("weir grep x ap", tmp_path) == {"app.log"}
    assert bash_completes("weir config ", tmp_path) == {"default", "show", "check"}
    assert bash_completes("weir server --data ", tmp_path) == {"folder"}
    assert bash_completes("weir search --stream ", tmp_path) == set()
    # Every option of every command, as --help lists them.
    for name in COMMANDS:
        text = subprocess.run([conftest.WEIR, name, "--help"], capture_output=True, check=True).stdout.decode()
        options = set(re.findall(r"^  (?:-., |    )(--[a-z-]+)", text, re.M))
        assert options == bash_completes(f"weir {name} --", tmp_path), name


def test_bash_completes_on_a_terminal(terminal):
    t = terminal()
    t.type("source <(weir completion bash); clear; echo re''ady", "Enter")
    t.wait_for(r"^ready$")
    t.type("weir comp", "Tab")
    t.wait_for(r"weir completion ?$")
    t.type("fi", "Tab", "Enter")
    t.wait_for(r"complete -c weir")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(tmp_path):
    (tmp_path / "w.fish").write_bytes(subprocess.run([conftest.WEIR, "completion", "fish"], capture_output=True).stdout)

    def completes(line):
        r = subprocess.run(["fish", "--no-config", "-c", f"source w.fish; complete -C '{line}'"], cwd=tmp_path,
                           capture_output=True, check=True, env=dict(os.environ, HOME=str(tmp_path)))
        return {x.split("\t")[0] for x in r.stdout.decode().splitlines()}
    assert COMMANDS <= completes("weir ")
    assert "--color" in completes("weir grep --co")
    assert completes("weir grep --color ") >= {"auto", "always", "never"}


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completes(terminal, tmp_path):
    t = terminal(shell="zsh -f", env={"HOME": str(tmp_path)})
    t.type("autoload -Uz compinit && compinit -u -D && source <(weir completion zsh) && clear && echo re''ady", "Enter")
    t.wait_for(r"^ready$")
    t.type("weir comple", "Tab")
    t.wait_for(r"weir completion ?$")
    t.type("fis", "Tab")
    t.wait_for(r"weir completion fish")
    t.tmux("send-keys", "C-u")
    t.type("weir grep --color=alw", "Tab")
    t.wait_for(r"--color=always")


def test_manual_page():
    page = subprocess.run([conftest.WEIR, "man"], capture_output=True, check=True).stdout.decode()
    for name in COMMANDS:
        assert f'.SS "weir {name}"' in page
    if shutil.which("groff"):
        r = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=page.encode(), capture_output=True, check=True)
        assert r.stderr == b"" and b"--invert-match" in re.sub(b".\x08", b"", r.stdout)
    # Lines that begin with a dot are requests that man(7) knows.
    requests = {line.split()[0] for line in page.splitlines() if line.startswith(".")}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".B", ".I", ".PP", ".nf", ".fi", ".BR"}


def test_grep_on_a_terminal(terminal, tmp_path):
    (tmp_path / "a.log").write_text("one timeout\ntwo\n\x1b[2Jthree timeout\n")
    (tmp_path / "b.log").write_text("four timeout\n")
    t = terminal()
    t.type("weir grep timeout a.log b.log; echo e''nd", "Enter")
    screen = t.wait_for(r"^end$")
    assert "a.log\n1:one timeout\n3:?[2Jthree timeout\n\nb.log\n1:four timeout\nend" in screen
    coloured = t.wait_for(r"end\b", colours=True)
    assert re.search(r"\x1b\[35ma\.log", coloured) and re.search(r"\x1b\[32m(\x1b\[49m)?3", coloured)
    assert len(re.findall(r"\x1b\[1m\x1b\[31mtimeout", coloured)) == 3
    t.type("clear; NO_COLOR=1 weir grep timeout b.log; echo do''ne", "Enter")
    assert "\x1b[31m" not in t.wait_for(r"done\b", colours=True)
    t.type("clear; weir grep '* | stats count() by _stream | sort _stream' a.log b.log", "Enter")
    t.wait_for(r"_stream +count\na\.log +3\nb\.log +1")


def test_search_on_a_terminal(terminal, server):
    """Colours by level, a pager for what is long, the live tail."""
    server.ingest("".join('{"i":%d,"level":"%s","message":"m%d"}\n' % (i, ("ERROR", "info")[i % 2], i) for i in range(60)))
    t = terminal(env={"WEIR_URL": server.url, "PAGER": "sed s/^/P:/"})
    t.type("weir search 'i:<2'; echo e''nd", "Enter")
    screen = t.wait_for(r"^end$")
    assert re.search(r"^P:\S+ +info +m1 .*\nP:\S+ +ERROR +m0 ", screen, re.M)
    t.type("clear; PAGER= weir search 'i:<2'; echo do''ne", "Enter")
    assert re.search(r"\x1b\[31mERROR", t.wait_for(r"done\b", colours=True))
    t.type("clear; weir search --no-pager 'i:0' | cat; echo rea''dy", "Enter")
    assert '"i":0' in t.wait_for(r"^ready$")
    if shutil.which("less"):
        t.type("clear; PAGER=less weir search --limit 60 '*'", "Enter")
        t.wait_for(r"^:$")
        t.type("q")
        t.wait_for(r"^> ?$")
    t.type("clear; weir search --follow --limit 1 'level:ERROR'", "Enter")
    t.wait_for(r"ERROR +m58")
    server.ingest('{"level":"ERROR","message":"live one"}\n{"level":"info","message":"not this"}')
    assert "not this" not in t.wait_for(r"ERROR +live one")
    t.tmux("send-keys", "C-c")
    t.wait_for(r"^> ?$")


def check(*args, code, env=None):
    r = subprocess.run([conftest.WEIR, "check", "--json", *args], capture_output=True, timeout=60,
                       env=dict(os.environ, **(env or {})))
    assert r.returncode == code, (r.returncode, r.stdout, r.stderr)
    answer = json.loads(r.stdout)
    assert answer["ok"] == (code == 0)
    return {x["name"]: x for x in answer["checks"]}


def test_check(tmp_path, make_server):
    port = conftest.free_port()
    found = check("--data", str(tmp_path / "new/data"), "--listen", f"127.0.0.1:{port}", code=0)
    assert found["data folder"]["status"] == "ok" and "can be made" in found["data folder"]["detail"]
    assert found["sync"]["status"] in ("ok", "warning") and "ms" in found["sync"]["detail"]
    assert found["address"]["status"] == "ok" and found["catalog"]["status"] == "skipped"
    assert os.listdir(tmp_path) == [], "it changes nothing"
    # Beside a running server.
    server = make_server()
    found = check("--data", str(server.data), "--listen", f"127.0.0.1:{server.port}", code=0)
    assert "served by Weir" in found["address"]["detail"] and "runs on it" in found["data folder"]["detail"]
    server.stop()
    found = check("--data", str(server.data), "--listen", f"127.0.0.1:{server.port}", code=0)
    assert found["catalog"]["status"] == "ok"


def test_check_names_what_fails(tmp_path, make_server):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        found = check("--data", str(tmp_path / "d"), "--listen", f"127.0.0.1:{s.getsockname()[1]}", code=1)
        assert found["address"]["status"] == "failed" and "--listen" in found["address"]["advice"]
    (tmp_path / "file").write_text("")
    found = check("--data", str(tmp_path / "file"), "--listen", "127.0.0.1:0", code=1)
    assert found["data folder"]["status"] == "failed" and "--data" in found["data folder"]["advice"]
    (tmp_path / "bad.yaml").write_text("store:\n  retenton: 3d\n")
    found = check("--config", str(tmp_path / "bad.yaml"), code=1)
    assert "retention" in found["configuration"]["detail"] and len(found) == 1
    found = check("--data", str(tmp_path / "d"), "--listen", "0.0.0.0:0", code=1)
    assert found["credentials"]["status"] == "failed" and "WEIR_ROOT_PASSWORD" in found["credentials"]["detail"]
    found = check("--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--set", "inputs=nosuch://x", code=1)
    assert found["inputs"]["status"] == "failed"
    found = check("--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0", "--set", "server.connections=900000", code=0)
    assert found["open files"]["status"] == "warning" and "ulimit" in found["open files"]["advice"]
    server = make_server()
    server.stop()
    catalog = server.data / "catalog.db"
    catalog.write_bytes(b"no database at all" * 500)
    found = check("--data", str(server.data), "--listen", "127.0.0.1:0", code=1)
    assert found["catalog"]["status"] == "failed" and "backup" in found["catalog"]["advice"]
    # People see the same.
    r = subprocess.run([conftest.WEIR, "check", "--data", str(server.data), "--listen", "127.0.0.1:0"], capture_output=True)
    assert r.returncode == 1 and re.search(rb"^failed   catalog .*\n +-> put it back", r.stdout, re.M)
