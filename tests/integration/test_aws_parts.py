"""The stand-in for RDS is what Amazon's own client takes it for; and it does check signatures. The golden signatures of
the unit test are botocore's."""
import urllib.request

import boto3
import botocore.exceptions
import pytest

from parts.rds import ACCESS, REGION, SECRET, Fault, Rds


def client(rds, secret=SECRET):
    return boto3.client("rds", endpoint_url=rds.url, region_name=REGION, aws_access_key_id=ACCESS,
                        aws_secret_access_key=secret, config=boto3.session.Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def rds():
    with Rds(portion_bytes=10_000, page=3) as r:
        yield r


def test_boto3_takes_it_for_rds(rds, tmp_path):
    for i in range(7):
        rds.add(f"db-{i}", tmp_path / f"db-{i}", tags={"env": "prod"})
    folder = tmp_path / "db-3/slowquery"
    folder.mkdir()
    text = "".join(f"line {i} <&> \u20ac\n" for i in range(3000))
    (folder / "mysql-slowquery.log").write_text(text)
    for hour in range(5):
        (folder / f"mysql-slowquery.log.{hour}").write_text("x\n")
    c = client(rds)
    names = [i["DBInstanceIdentifier"] for p in c.get_paginator("describe_db_instances").paginate() for i in p["DBInstances"]]
    assert names == [f"db-{i}" for i in range(7)] and rds.calls["DescribeDBInstances"] == 3
    files = [f for p in c.get_paginator("describe_db_log_files").paginate(DBInstanceIdentifier="db-3")
             for f in p["DescribeDBLogFiles"]]
    assert len(files) == 6 and files[0]["Size"] == len(text.encode())
    got, marker, more = "", "0", True
    while more:
        p = c.download_db_log_file_portion(DBInstanceIdentifier="db-3", LogFileName=files[0]["LogFileName"], Marker=marker)
        got, marker, more = got + p.get("LogFileData", ""), p["Marker"], p["AdditionalDataPending"]
    assert got == text
    with pytest.raises(c.exceptions.DBInstanceNotFoundFault):
        c.describe_db_log_files(DBInstanceIdentifier="nobody")


def test_it_refuses_and_fails(rds):
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        client(rds, "wrong").describe_db_instances()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(rds.url + "/v13/downloadCompleteLogFile/db-1/error/x.log")
    rds.faults.append(Fault("DescribeDBInstances", "throttle"))
    with pytest.raises(botocore.exceptions.ClientError, match="Throttling"):
        client(rds).describe_db_instances()
    assert client(rds).describe_db_instances()["DBInstances"] == []
