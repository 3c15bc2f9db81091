"""A Ceph cluster of one monitor and one disk, the ground under the S3 server of the tests."""

import enum
import os
import socket
import uuid
from pathlib import Path
from typing import final

from tests.servers.daemon import Daemon, find_program, free_port, run_tool

# Two lines avoid a hang: `public addr` outside [osd] makes the monitor ignore its port, and without
# `ms mon client mode` a gateway that uses no passwords waits for its monitor for ever.
_SETTINGS = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}]
auth cluster required = none
auth service required = none
auth client required = none
run dir = {directory}
admin socket = {directory}/$name.asok
log file = {directory}/$name.log
mon cluster log file = {directory}/cluster.log
mon data = {directory}/mon
mon data avail crit = 1
mon data avail warn = 1
mon tick interval = 1
mon client hunt interval = 0.3
mon client ping interval = 1
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = {directory}/osd
osd journal = {directory}/osd/journal
osd objectstore = {store}
osd heartbeat grace = 2
osd heartbeat interval = 1
osd crush chooseleaf type = 0
osd class update on start = false
osd fast shutdown = true
osd memory target = 939524096
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
memstore device bytes = 4294967296
bluestore block create = true
bluestore block size = 4294967296
[osd]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
[client]
ms mon client mode = crc
"""


class ObjectStore(enum.StrEnum):
    """Where the cluster keeps its objects."""

    MEMORY = "memstore"  # ready in two seconds; a killed cluster has lost everything
    DISK = "bluestore"  # slower, and survives `kill`


@final
class Ceph:
    """A cluster without replicas and without passwords, on loopback."""

    def __init__(self, directory: Path, *, store: ObjectStore) -> None:
        self._directory = directory
        self._port = free_port()
        self.config = directory / "ceph.conf"
        self._fsid = str(uuid.uuid4())
        self._store = store
        self._monitor = self._daemon("ceph-mon", "-i", "a")
        self._disk = self._daemon("ceph-osd", "-i", "0")

    @property
    def pids(self) -> list[int | None]:
        return [self._monitor.pid, self._disk.pid]

    def start(self) -> None:
        """Starts what does not run; the first time it makes the cluster."""
        new = not self.config.exists()
        if new:
            self.config.write_text(
                _SETTINGS.format(directory=self._directory, port=self._port, fsid=self._fsid, store=self._store)
            )
            self._make_monitor()
        self._monitor.start(ready=self._monitor_listens)
        if new:
            self._make_disk()
        self._disk.start(ready=lambda: True)

    def stop(self) -> None:
        """Stops in good order."""
        self._disk.stop()
        self._monitor.stop()

    def kill(self) -> None:
        """Ends every daemon at once."""
        self._disk.kill()
        self._monitor.kill()

    def tool(self, program: str, *arguments: str) -> None:
        """Runs one of Ceph's own commands against this cluster."""
        run_tool([find_program(program), "--conf", str(self.config), *arguments])

    def _daemon(self, program: str, *arguments: str) -> Daemon:
        command = [find_program(program), "--conf", str(self.config), "-f", *arguments]
        return Daemon(command, log=self._directory / f"{program}.log")

    def _make_monitor(self) -> None:
        monitor_map = str(self._directory / "monmap")
        address = f"[v2:127.0.0.1:{self._port}]"
        self.tool("monmaptool", "--create", "--addv", "a", address, "--fsid", self._fsid, monitor_map)
        self.tool("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitor_map)

    def _make_disk(self) -> None:
        identity = str(uuid.uuid4())
        (self._directory / "osd").mkdir()
        self.tool("ceph", "osd", "new", identity)
        self.tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)

    def _monitor_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == os.EX_OK
