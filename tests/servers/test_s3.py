"""The tests' own S3 server."""

import dataclasses

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.servers.ceph import ObjectStore
from tests.servers.s3 import S3, Bucket


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_bucket(s3: Bucket, turn: int) -> None:
    found = s3.client().list_objects_v2(Bucket=s3.name)["KeyCount"]
    s3.client().put_object(Bucket=s3.name, Key="turn", Body=bytes([turn]))

    assert found == 0
    assert s3.client().get_object(Bucket=s3.name, Key="turn")["Body"].read() == bytes([turn])


def test_a_wrong_secret_is_refused(s3: Bucket) -> None:
    stranger = dataclasses.replace(s3, secret_key="not-the-secret")

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_objects_v2(Bucket=s3.name)


def test_an_object_can_be_written_once_only(s3: Bucket) -> None:
    s3.client().put_object(Bucket=s3.name, Key="once", Body=b"first", IfNoneMatch="*")

    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.client().put_object(Bucket=s3.name, Key="once", Body=b"second", IfNoneMatch="*")


def test_objects_survive_a_killed_gateway(s3_server: S3, s3: Bucket) -> None:
    s3.client().put_object(Bucket=s3.name, Key="kept", Body=b"kept")

    s3_server.kill()
    with pytest.raises(EndpointConnectionError):
        s3.client().get_object(Bucket=s3.name, Key="kept")
    s3_server.start()

    assert s3.client().get_object(Bucket=s3.name, Key="kept")["Body"].read() == b"kept"


@pytest.mark.persistence
def test_objects_on_disk_survive_a_killed_cluster() -> None:
    with S3(store=ObjectStore.DISK) as server:
        bucket = server.create_bucket("durable")
        bucket.client().put_object(Bucket="durable", Key="kept", Body=b"kept")

        server.kill_cluster()
        server.start()

        assert bucket.client().get_object(Bucket="durable", Key="kept")["Body"].read() == b"kept"
