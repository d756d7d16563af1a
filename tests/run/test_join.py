"""Joining processes: what keeps them from each other is said in a line."""

import socket

import jax
import pytest

from fgspec.errors import JoinError
from fgspec.processes import join


def test_a_host_whose_own_name_does_not_resolve_is_named(monkeypatch):
    def cannot(*_):
        raise RuntimeError("Unable to initialize backend 'cpu': [enforce fail at gloo] -2 vs 0")

    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(jax, "process_index", cannot)
    monkeypatch.setattr(socket, "gethostname", lambda: "bare")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(JoinError, match=r'name, bare, does not.*"127.0.0.1 bare" to /etc/hosts'):
        join._meet_backend()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    with pytest.raises(JoinError, match=r"their devices did not \(Unable to initialize"):
        join._meet_backend()
