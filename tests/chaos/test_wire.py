"""The wire to sshd: it carries everything until it is cut, and then nothing."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cyan.chaos.wire import Wire, detour
from cyan.configured import load
from tests.rollout.worlds import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """Somebody who sends back whatever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    threading.Thread(target=answer, args=(peer,), daemon=True).start()

        def answer(peer: socket.socket) -> None:
            with suppress(OSError), peer:
                while piece := peer.recv(1 << 16):
                    peer.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def test_what_is_sent_comes_back_over_the_wire(echo: tuple[str, int]) -> None:
    with Wire(echo) as wire, socket.create_connection(("127.0.0.1", wire.port), 10) as peer:
        sent = bytes(range(256)) * 4096
        threading.Thread(target=peer.sendall, args=(sent,), daemon=True).start()
        got = b""
        while len(got) < len(sent):
            got += peer.recv(1 << 16)
        assert got == sent


def test_a_cut_ends_every_connection_and_refuses_new_ones(echo: tuple[str, int]) -> None:
    with Wire(echo) as wire:
        with socket.create_connection(("127.0.0.1", wire.port), 10) as peer:
            peer.sendall(b"x")
            assert peer.recv(1) == b"x"
            wire.cut()
            with suppress(ConnectionResetError):
                assert peer.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", wire.port), 10)


def test_a_detour_is_the_same_project_with_the_hosts_key_pinned_for_the_wire(
    tmp_path: Path,
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("[127.0.0.1]:2222 ssh-ed25519 AAAA\n")
    wanted = settings()
    machine = wanted.hosts[0].model_copy(update={"known_hosts": known})
    with detour(wanted, machine, 4242) as folder:
        section = yaml.safe_load((folder / "invoke.yaml").read_text())["cyan"]
        found = load(section, {}, folder)
        assert (found.hosts[0].address, found.hosts[0].port) == ("127.0.0.1", 4242)
        assert found.hosts[0].known_hosts is not None
        assert found.hosts[0].known_hosts.read_text() == "[127.0.0.1]:4242 ssh-ed25519 AAAA\n"
        assert found.directory == Path("/srv/demo")
        assert found.app == wanted.app
    assert not folder.exists()


def test_a_lab_is_one_by_the_long_way_too_and_no_other_host_becomes_one(tmp_path: Path) -> None:
    here = settings()
    lab = here.hosts[0].model_copy(update={"port": here.lab.ssh_port})
    production = lab.model_copy(update={"address": "192.0.2.1"})
    for machine, is_lab in ((lab, True), (production, False)):
        wanted = here.model_copy(update={"hosts": (machine,), "directory": tmp_path})
        assert wanted.is_lab is is_lab
        with detour(wanted, machine, 4242) as folder:
            section = yaml.safe_load((folder / "invoke.yaml").read_text())["cyan"]
            assert load(section, {}, folder).is_lab is is_lab
