"""Keys from the container's endpoint and from the instance's metadata: boto3 takes the stand-in for the real ones, and the
collector fetches anew before they expire, goes on with good ones while that fails, and never logs any."""
import boto3
import pytest

from aurora import Collector, SlowLog, assert_same, wait_for
from parts.aws_metadata import CONTAINER_TOKEN, Metadata
from parts.rds import REGION, Rds

REFRESH_S = 5 * 60  # before they expire: aws/credentials.c


@pytest.fixture
def rds():
    with Rds(portion_bytes=20_000) as r:
        yield r


@pytest.fixture
def metadata(rds):
    with Metadata(rds) as m:
        yield m


def sources(metadata, tmp_path):
    """What each kind of machine has in its environment, and what else must not be there."""
    token = tmp_path / "token"
    token.write_text(CONTAINER_TOKEN)
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    keys = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": metadata.url + "/keys"}
    return {
        "container": {**none, **keys, "AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN},
        "pod": {**none, **keys, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)},
        "instance": {**none, "AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url},
    }


@pytest.fixture(params=["container", "pod", "instance"])
def made(request, tmp_path, rds, metadata, make_server):
    server = make_server()
    rds.add("db-1", tmp_path / "db-1")
    log = SlowLog(tmp_path / "db-1", "one")
    c = Collector(tmp_path, rds, server, env=sources(metadata, tmp_path)[request.param])
    yield log, c, server
    if c.process and c.process.poll() is None:
        c.kill()


def assert_secret(c, metadata):
    text = c.log.read_text()
    for access, secret, token in metadata.given:
        assert secret not in text and token not in text
    assert CONTAINER_TOKEN not in text and metadata.token not in text


@pytest.mark.parametrize("kind", ["container", "pod", "instance"])
def test_boto3_takes_it_for_the_real_one(rds, metadata, tmp_path, monkeypatch, kind):
    for name, value in {**rds.env(), **sources(metadata, tmp_path)[kind]}.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    client = boto3.session.Session().client("rds", endpoint_url=rds.url, region_name=REGION)
    assert client.describe_db_instances()["DBInstances"] == []
    assert len(metadata.given) >= 1 and not metadata.refused


def test_keys_are_fetched_once_and_anew_before_they_expire(made, rds, metadata):
    log, c, server = made
    rds.session_s = REFRESH_S + 3
    log.write(10)
    c.start()
    wait_for(lambda: len(metadata.given) == 1)
    rds.session_s = 3600
    wait_for(lambda: len(metadata.given) == 2, 60, "the second keys")
    first = metadata.given[0][0]
    del rds.keys[first]  # whoever still signs with them is refused, and it is seen
    log.write(10)
    wait_for(lambda: server.query("* | stats count()", stream="slow_search_logs")[0]["count"] == 20)
    c.stop()
    assert_same(server, log)
    assert len(metadata.given) == 2 and not metadata.refused and not rds.refused
    assert_secret(c, metadata)


@pytest.mark.parametrize("made", ["instance"], indirect=True)
def test_good_keys_are_used_while_none_are_to_be_had(made, rds, metadata):
    log, c, server = made
    rds.session_s = REFRESH_S + 2
    log.write(10)
    c.start()
    wait_for(lambda: len(metadata.given) == 1)
    metadata.broken = True
    wait_for(lambda: c.events("could not be fetched anew"), 60, "the word about it")
    log.write(10)
    wait_for(lambda: server.query("* | stats count()", stream="slow_search_logs")[0]["count"] == 20)
    c.stop()
    assert_same(server, log)
    assert len(metadata.given) == 1 and not rds.refused
    assert_secret(c, metadata)


@pytest.mark.parametrize("made", ["container"], indirect=True)
def test_keys_that_the_service_calls_expired_are_fetched_anew(made, rds, metadata):
    log, c, server = made
    log.write(10)
    c.start()
    wait_for(lambda: len(metadata.given) == 1)
    access = metadata.given[0][0]
    secret, token, _ = rds.keys[access]
    rds.keys[access] = (secret, token, 1)
    log.write(10)
    wait_for(lambda: server.query("* | stats count()", stream="slow_search_logs")[0]["count"] == 20)
    c.stop()
    assert_same(server, log)
    assert len(metadata.given) == 2
    assert_secret(c, metadata)


def test_a_container_s_token_goes_nowhere_else(tmp_path, rds, metadata):
    c = Collector(tmp_path, rds, None, env={**sources(metadata, tmp_path)["container"],
                                            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://keys.example.com/keys"})
    said = c.weir_alone("check", "--json")
    assert said.returncode == 1 and "only https, or this machine" in said.stdout
    assert not metadata.calls
