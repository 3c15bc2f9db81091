"""An S3 bucket as object store."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.domain.errors import NotFound, Unavailable
from core.domain.uploads import PostForm

_MISSING = {"NoSuchKey", "404", "NotFound"}


@final
class S3Store:
    """Implements `ObjectStore` on any server that speaks S3."""

    def __init__(
        self, bucket: str, *, endpoint_url: str | None, region: str, access_key_id: str | None, secret: str | None
    ) -> None:
        self._bucket = bucket
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret,
            config=Config(
                signature_version="s3v4",
                # A server that is not Amazon's rarely has a host name for every bucket.
                s3={"addressing_style": "auto" if endpoint_url is None else "path"},
                # Trailing checksums, boto3's default, are refused or stored as data by many servers.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": 5},
                connect_timeout=5,
                read_timeout=30,
                max_pool_connections=32,  # one per slot or request thread; more would wait
            ),
        )

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        with _answering(key):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=media_type)

    def get(self, key: str) -> bytes:
        with _answering(key):
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return content

    def delete(self, key: str) -> None:
        with _answering(key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def list(self, prefix: str) -> Iterator[str]:
        with _answering(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", []):
                    yield entry["Key"]

    def presign(self, key: str, *, expires_seconds: int, filename: str) -> str | None:
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentDisposition": f'attachment; filename="{filename}"',
            },
            ExpiresIn=expires_seconds,
        )
        return url

    def presign_post(self, key: str, *, media_type: str, max_bytes: int, expires_seconds: int) -> PostForm | None:
        # The key is a condition by itself, and exact.
        form = self._client.generate_presigned_post(
            self._bucket,
            key,
            Fields={"Content-Type": media_type},
            Conditions=[{"Content-Type": media_type}, ["content-length-range", 1, max_bytes]],
            ExpiresIn=expires_seconds,
        )
        return PostForm(url=form["url"], fields=form["fields"])

    def ping(self) -> None:
        """Raises Unavailable when the bucket cannot be reached."""
        try:
            with _answering(self._bucket):
                self._client.head_bucket(Bucket=self._bucket)
        except NotFound as missing:
            raise Unavailable(f"The object store has no bucket {self._bucket}.") from missing


@contextmanager
def _answering(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise NotFound(f"There is no object {name}.") from error
        raise Unavailable("The object store refused a request; try again in a moment.") from error
    except BotoCoreError as error:
        raise Unavailable("The object store does not answer; try again in a moment.") from error
