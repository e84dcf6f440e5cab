"""The documents do what they say: commands marked as tested run, and answer what stands below them.

In README.md and docs/*.md a block that opens with ```sh tested runs under bash against a server of the document's
own, in a folder of its own, one block after the other; `localhost:5080` stands for that server, `weir` for the
binary under test, and WEIR_URL and WEIR_DATA lead to the server and its folder. A block ```text answer behind it is what the command prints, in which ... stands for anything.
A block ```transform is a list of transforms, with records that come (<) and what each becomes (>).
Links between documents lead somewhere, configuration.md is what `weir config default` says, and openapi.yaml
names the paths that the server has."""
import os
import pathlib
import re
import subprocess

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = pathlib.Path(os.environ.get("WEIR", ROOT / "build" / "release" / "weir")).resolve()
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```[ \t]*$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def name_of(path):
    return str(path.relative_to(ROOT))


def transform_of(text):
    """The command that tries the records, and what each becomes: a list."""
    lines = text.splitlines()
    stages = [line for line in lines if line[:1] not in "<>"]
    records = [line[2:] for line in lines if line.startswith("<")]
    command = "cat > transform.yaml <<'YAML'\ntransforms:\n" + "\n".join("  " + line for line in stages) + \
        "\nYAML\nweir pipeline test transform.yaml <<'RECORDS'\n" + "\n".join(records) + "\nRECORDS\n"
    return command, [line[2:] for line in lines if line.startswith(">")]


def becomes(said):
    """Of what weir pipeline test prints, what each record is at the end."""
    last = []
    for line in said.splitlines():
        if re.fullmatch(r"\d+", line):
            last.append(None)
        else:
            last[-1] = line.strip().split(None, 1)[1]
    return last


def steps_of(text):
    """(line, command, expected answer or None) of the blocks to be tested."""
    steps = []
    for m in BLOCK.finditer(text):
        kind = m.group(1).split()
        if kind[1:] == ["tested"]:
            assert kind[0] == "sh", f"only sh is run: {m.group(1)}"
            steps.append([text.count("\n", 0, m.start()) + 1, m.group(2), None])
        elif kind == ["transform"]:
            steps.append([text.count("\n", 0, m.start()) + 1, *transform_of(m.group(2))])
        elif kind[1:] == ["answer"]:
            assert steps and steps[-1][2] is None, "an answer without a command"
            steps[-1][2] = m.group(2)
    return steps


TESTED = [d for d in DOCUMENTS if steps_of(d.read_text())]


def pattern_of(expected):
    return re.compile(".*?".join(re.escape(part) for part in expected.strip().split("...")), re.S)


def test_there_is_something_to_test():
    assert {"README.md", "docs/ingest.md", "docs/query-language.md", "docs/http-api.md", "docs/cli.md"} <= \
        {name_of(d) for d in TESTED}


@pytest.mark.parametrize("document", TESTED, ids=name_of)
def test_commands(document, make_server, tmp_path):
    server = make_server()
    folder = tmp_path / "work"
    folder.mkdir()
    env = dict(os.environ, PATH=f"{WEIR.parent}:{os.environ['PATH']}", WEIR_URL=server.url,
               WEIR_DATA=str(server.data))
    for line, command, expected in steps_of(document.read_text()):
        script = command.replace("localhost:5080", f"127.0.0.1:{server.port}")
        r = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], cwd=folder, env=env,
                           capture_output=True, timeout=60)
        said = r.stdout.decode().strip()
        where = f"{name_of(document)}:{line}"
        assert r.returncode == 0, f"{where}: {r.returncode}\n{said[-2000:]}\n{r.stderr.decode()[-2000:]}"
        if isinstance(expected, list):
            assert becomes(said) == expected, f"{where} prints\n{said}\nand not\n{expected}"
        elif expected is not None:
            assert pattern_of(expected).fullmatch(said), f"{where} prints\n{said}\nand not\n{expected}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links(document):
    for target in LINK.findall(BLOCK.sub("", document.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), f"{name_of(document)}: nothing at {target}"


def test_configuration_is_up_to_date(weir):
    text = (ROOT / "docs" / "configuration.md").read_text()
    blocks = [m.group(2) for m in BLOCK.finditer(text) if m.group(1) == "yaml default"]
    assert blocks == [weir("config", "default").stdout.decode()], \
        "docs/configuration.md is old: replace its block by the output of `weir config default`"


def test_openapi_paths(server):
    """Each path of openapi.yaml is served by the methods named there, and says 405 to another."""
    text = (ROOT / "docs" / "openapi.yaml").read_text()
    paths = {}
    for line in text.split("\npaths:\n", 1)[1].split("\ncomponents:\n", 1)[0].splitlines():
        if m := re.fullmatch(r"  (/\S*):", line):
            methods = paths.setdefault(m.group(1), [])
        elif m := re.fullmatch(r"    (get|head|post|put|delete):", line):
            methods.append(m.group(1).upper())
    assert len(paths) > 10
    for path, methods in paths.items():
        for method in methods:
            # A live tail has no end: it is not read. 404 may stand for a thing that is not there, as long as it is not
            # the path.
            with requests.request(method, server.url + path, timeout=30, stream=True) as r:
                assert r.status_code not in (405, 500, 501), (method, path, r.status_code, r.text[:300])
                assert r.status_code != 404 or "nothing is at" not in r.text, (method, path, r.text[:300])
        r = requests.request("PATCH", server.url + path, timeout=30)
        assert r.status_code == 405, (path, r.status_code)
