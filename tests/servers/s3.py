"""A real S3 server for tests: Ceph's object gateway, which checks signatures, policies and conditions as S3 does."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.ceph import Ceph, ObjectStore
from tests.servers.daemon import Daemon, ServerError, find_program, free_port

_SETTINGS = {
    "dns-name": "127.0.0.1",
    "thread-pool-size": "32",
    "enable-usage-log": "false",
    "enable-lc-threads": "false",
    "enable-quota-threads": "false",
    "run-sync-thread": "false",
    # Objects above 4 MiB are freed by the collector, which by default waits for two hours.
    "gc-obj-min-wait": "1",
    "gc-processor-period": "10",
}


@final
@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, and what a client needs to reach it."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str
    region: str

    def client(self) -> Any:
        """A boto3 client that gives up soon, so that a test of a dead server is short."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"}, retries={"max_attempts": 1}, connect_timeout=2, read_timeout=20
            ),
        )


@final
class S3:
    """An object gateway on a private loopback port.

    `stop` and `kill` are about the gateway, so that a bucket in memory survives them; `kill_cluster` takes all.
    """

    def __init__(self, *, store: ObjectStore = ObjectStore.MEMORY) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="stylediffusion-s3-"))
        self._port = free_port()
        self._ceph = Ceph(self._directory, store=store)
        self._account = self.bucket("")
        self._has_account = False
        self._gateway = self._make_gateway(cached=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except ServerError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_cluster()
        shutil.rmtree(self._directory)

    @property
    def pids(self) -> list[int | None]:
        return [self._gateway.pid, *self._ceph.pids]

    def start(self) -> None:
        """Starts what does not run, and returns when the gateway answers."""
        self._ceph.start()
        if not self._has_account:
            self._make_account()
        self._gateway.start(ready=self._answers, seconds=60)

    def stop(self) -> None:
        """Stops the gateway in good order."""
        self._gateway.stop()

    def kill(self) -> None:
        """Ends the gateway at once."""
        self._gateway.kill()
        # One with a cache asks the killed one to agree to every change, and waits half a minute for it.
        self._gateway = self._make_gateway(cached=False)

    def kill_cluster(self) -> None:
        """Ends the gateway and the cluster behind it at once."""
        self.kill()
        self._ceph.kill()

    def bucket(self, name: str) -> Bucket:
        """The address and the keys of a bucket of this server."""
        return Bucket(
            endpoint=f"http://127.0.0.1:{self._port}",
            name=name,
            access_key="tests-access",
            secret_key="tests-secret",
            region="us-east-1",
        )

    def create_bucket(self, name: str) -> Bucket:
        """Makes an empty bucket."""
        self._account.client().create_bucket(Bucket=name)
        return self.bucket(name)

    def remove_bucket(self, name: str) -> None:
        """Removes a bucket and all that is in it."""
        client = self._account.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for item in page.get("Contents", []):
                client.delete_object(Bucket=name, Key=item["Key"])
        client.delete_bucket(Bucket=name)

    def _make_gateway(self, *, cached: bool) -> Daemon:
        settings = {**_SETTINGS, "cache-enabled": str(cached).lower()}
        # Without `tcp_nodelay` an object of some KiB takes 40 ms.
        settings["frontends"] = f"beast endpoint=127.0.0.1:{self._port} tcp_nodelay=1"
        arguments = [f"--rgw-{name}={value}" for name, value in settings.items()]
        command = [find_program("radosgw"), "--conf", str(self._ceph.config), "-n", "client.rgw", "-f", *arguments]
        return Daemon(command, log=self._directory / "gateway.log")

    def _make_account(self) -> None:
        keys = ["--access-key", self._account.access_key, "--secret-key", self._account.secret_key]
        self._ceph.tool("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests", *keys)
        self._has_account = True

    def _answers(self) -> bool:
        try:
            self._account.client().list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True
