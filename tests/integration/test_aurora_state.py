"""The collector on DynamoDB, with Redis, and with real MariaDB servers; the table calls of the runbooks."""
import re
import time

import pytest
import requests

from aurora import Collector, SlowLog, assert_same, stored, wait_for
from parts.dynamodb import throttling
from parts.mariadb import MariaDb
from parts.rds import Rds


@pytest.fixture
def rds():
    with Rds(portion_bytes=20_000) as r:
        yield r


@pytest.fixture
def on_dynamodb(tmp_path, rds, make_server, dynamodb):
    client = dynamodb.client()
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    rds.add("db-1", tmp_path / "db-1")
    log = SlowLog(tmp_path / "db-1", "one")
    server = make_server()
    c = Collector(tmp_path, rds, server, state="dynamodb:", env={"AWS_ENDPOINT_URL_DYNAMODB": dynamodb.url,
                                                                 "BATCH_SIZE": "40", "WEIR_AURORA_LEASE_SEC": "2"})
    c.weir("init")
    return log, c, server, client


def test_crashes_on_dynamodb(on_dynamodb):
    log, c, server, client = on_dynamodb
    log.write(150)
    for step in ("announce", "send", "commit", "committed"):
        assert c.once(env={"WEIR_AURORA_CRASH": f"{step}:1"}, check=False) == -9
        log.write(30)
    log.rotate("2025-08-03.15")
    log.write(10)
    c.once()
    assert_same(server, log)


def test_throttled_tables_are_backed_off_and_counted(on_dynamodb, dynamodb):
    log, c, server, client = on_dynamodb
    left = {"aurora-log-checkpoints": 3, "aurora-log-processing-jobs": 2}

    def refuse(table):
        if left.get(table, 0) <= 0:
            return None
        left[table] -= 1
        return "ProvisionedThroughputExceededException" if left[table] % 2 else "ThrottlingException"

    log.write(150)
    with throttling(dynamodb.url, refuse) as url:
        c.start(env={"AWS_ENDPOINT_URL_DYNAMODB": url})
        wait_for(lambda: len(stored(server, "one")) == 150, 60, "the lines")
        assert not any(left.values())
        text = requests.get(f"http://127.0.0.1:{c.port}/metrics", timeout=30).text
        c.stop()
    counted = dict(re.findall(r'weir_aurora_dynamodb_throttles_total{table="([^"]+)"} (\d+)', text))
    assert counted["aurora-log-checkpoints"] == "3" and counted["aurora-log-processing-jobs"] == "2"
    assert counted["aurora-log-dlq"] == "0"
    assert_same(server, log)


def test_what_a_newer_build_has_added_is_left_alone(on_dynamodb):
    log, c, server, client = on_dynamodb
    log.write(100)
    assert c.once(env={"WEIR_AURORA_CRASH": "commit:2"}, check=False) == -9
    keys = []
    for name, parts in (("aurora-log-file-tracking", ("instance_id", "log_file_name")), ("aurora-log-processing-jobs", ("job_id",)),
                        ("aurora-log-checkpoints", ("instance_id", "log_file_name")), ("aurora-instance-metadata", ("instance_id",))):
        for item in client.scan(TableName=name)["Items"]:
            keys.append((name, {k: item[k] for k in parts}))
            client.update_item(TableName=name, Key=keys[-1][1], UpdateExpression="SET zz_text = :t, zz_map = :m",
                               ExpressionAttributeValues={":t": {"S": "kept"}, ":m": {"M": {"a": {"L": [{"BOOL": True}]}}}})
    assert len(keys) == 4
    log.write(50)
    c.once()
    assert_same(server, log)
    for name, key in keys:
        item = client.get_item(TableName=name, Key=key)["Item"]
        assert item["zz_text"] == {"S": "kept"} and item["zz_map"] == {"M": {"a": {"L": [{"BOOL": True}]}}}


def test_the_runbooks_table_calls(on_dynamodb):
    """As seed documents spell them, through boto3."""
    log, c, server, client = on_dynamodb
    log.write(20)
    c.once()
    for name in ("aurora-log-file-tracking", "aurora-log-checkpoints", "aurora-log-dlq", "aurora-instance-metadata",
                 "aurora-log-processing-jobs", "aurora-log-tracking"):
        table = client.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = client.describe_time_to_live(TableName="aurora-log-checkpoints")["TimeToLiveDescription"]
    assert ttl["TimeToLiveStatus"] == "ENABLED" and ttl["AttributeName"] == "expires_at"
    key = {"instance_id": {"S": "db-1"}, "log_file_name": {"S": "slowquery/mysql-slowquery.log"}}
    item = client.get_item(TableName="aurora-log-file-tracking", Key=key)["Item"]
    assert item["status"]["S"] == "completed" and int(item["updated_at"]["N"]) > time.time() - 60
    # stuck in processing: found, and set back by hand
    client.update_item(TableName="aurora-log-file-tracking", Key=key, UpdateExpression="SET #s = :s, #u = :u",
                       ExpressionAttributeNames={"#s": "status", "#u": "updated_at"},
                       ExpressionAttributeValues={":s": {"S": "processing"}, ":u": {"N": "1000"}})
    stuck = client.scan(TableName="aurora-log-file-tracking", FilterExpression="#s = :status AND #u < :old_time",
                        ExpressionAttributeNames={"#s": "status", "#u": "updated_at"},
                        ExpressionAttributeValues={":status": {"S": "processing"},
                                                   ":old_time": {"N": str(int(time.time() - 3600))}})["Items"]
    assert [i["log_file_name"]["S"] for i in stuck] == [key["log_file_name"]["S"]]
    client.update_item(TableName="aurora-log-file-tracking", Key=key, UpdateExpression="SET #s = :status",
                       ExpressionAttributeNames={"#s": "status"},
                       ExpressionAttributeValues={":status": {"S": "discovered"}})
    assert len(client.scan(TableName="aurora-log-checkpoints", Limit=20)["Items"]) == 1
    old = client.scan(TableName="aurora-log-checkpoints", FilterExpression="#u < :old_time",
                      ExpressionAttributeNames={"#u": "updated_at"},
                      ExpressionAttributeValues={":old_time": {"N": str(int(time.time() + 60))}})["Items"]
    assert len(old) == 1
    client.scan(TableName="aurora-log-dlq", ProjectionExpression="message_id,instance_id,log_file_name,failed_at,#e",
                ExpressionAttributeNames={"#e": "error"})  # a reserved word of DynamoDB's
    c.once()  # the file that was set back is visited, and nothing comes twice
    assert_same(server, log)
    assert client.get_item(TableName="aurora-log-file-tracking", Key=key)["Item"]["status"]["S"] == "completed"
    client.delete_item(TableName="aurora-log-checkpoints", Key=key)


def test_a_shared_cache_saves_requests(tmp_path, rds, redis, make_server):
    for i in range(5):
        rds.add(f"db-{i}", tmp_path / f"db-{i}")
        SlowLog(tmp_path / f"db-{i}", f"m{i}").write(2)
    server = make_server()
    for n in range(3):  # three discoverers one after the other within a round
        Collector(tmp_path, rds, server, name=f"c{n}", args=["--cache", redis.url]).once()
    assert rds.calls["DescribeDBInstances"] == 1 and rds.calls["DescribeDBLogFiles"] == 5
    redis.stop()  # nobody fails for want of a cache
    c = Collector(tmp_path, rds, server, name="last", args=["--cache", redis.url])
    c.once()
    assert rds.calls["DescribeDBLogFiles"] == 10 and c.events("cache is not to be had")
    assert "a word" not in c.log.read_text()


def test_real_servers_write_while_they_are_read(tmp_path, rds, mariadb, make_server):
    servers = [mariadb(f"db-{i}") for i in range(2)]
    rds.portion_bytes = 1 << 20
    for m in servers:
        rds.add(m.name, m.logs, engine="mariadb")
        m.sql("CREATE DATABASE shop; CREATE TABLE shop.t(a INT)")
    server = make_server()
    c = Collector(tmp_path, rds, server)
    c.start()
    for turn in range(6):
        for m in servers:
            m.sql("USE shop;\n" + "".join(f"INSERT INTO t VALUES({i});\nSELECT '{m.name}-{turn * 100 + i:06d}' FROM t LIMIT 1;\n"
                                          for i in range(100)))
        if turn in (2, 4):
            servers[turn // 4].rotate("slowquery", f"2025-08-03.{turn}")
        if turn == 3:
            c.kill()
            c.start()
    c.stop()
    servers[1].stop()  # its banner stands in the error log
    servers[1].start()
    c.once()
    for m in servers:
        have = stored(server, m.name)
        assert len(have) == 600 and set(have.values()) == {1}, (len(have), sum(have.values()))
        entries = sum(f.read_bytes().count(b"\n# Query_time") for f in m.slow.parent.iterdir())
        rows = server.query(f'instance:="{m.name}" | stats count()', stream="slow_search_logs")
        assert rows[0]["count"] == entries
        lines = server.query(f'instance:="{m.name}" | stats count()', stream="error_logs")
        assert lines[0]["count"] > 10
