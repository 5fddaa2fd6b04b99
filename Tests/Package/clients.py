"""Clients of an MTA and of a milter, in the network and the sight of a container."""

import contextlib
import ctypes
import os
import socket
import struct
import threading
import time


def speak_smtp(container, source):
    """One short message from an address to root there, in another process; the last reply."""
    def conversation():
        with socket.create_connection(("127.0.0.1", 25), timeout=30, source_address=(source, 0)) as connection:
            lines = connection.makefile("rw", newline="\r\n")

            def reply():
                while True:
                    line = lines.readline()
                    if line[3:4] != "-":
                        return line.strip()

            answer = reply()
            for command in ["EHLO client.example", "MAIL FROM:<root@mx.example.test>",
                            "RCPT TO:<root@mx.example.test>", "DATA", "Subject: test\n\nHello.\n."]:
                if answer[:1] not in "23":
                    return answer
                lines.write(command + "\n")
                lines.flush()
                answer = reply()
            return answer

    return in_network(container, conversation)


def in_network(container, action):
    """Runs it in the container's network: a namespace is a thread's, so that a thread of its own enters it."""
    outcome = []

    def body():
        try:
            with open(f"/proc/{container.leader}/ns/net") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                    raise OSError(ctypes.get_errno(), "cannot enter the container's network")
            outcome.append(action())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def negotiate(container, path="/run/mailwarden/milter.sock"):
    """Connects to the milter as an MTA and negotiates; the connection and the seconds until it was answered."""
    begun = time.monotonic()
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(30)
        connection.connect(os.fspath(container.path(path)))
        connection.sendall(struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF))
        read_packet(connection)
        return connection, time.monotonic() - begun
    except BaseException:
        connection.close()
        raise


def read_packet(connection):
    """The milter's next answer: a letter, and what belongs to it."""
    size = connection.recv(4, socket.MSG_WAITALL)
    if len(size) < 4:
        raise ConnectionError("it was closed without an answer")
    return connection.recv(struct.unpack(">I", size)[0], socket.MSG_WAITALL)


@contextlib.contextmanager
def connecting(container, threads=4):
    """Connects and negotiates again and again meanwhile; gives the waits in seconds, and the failures."""
    end = threading.Event()
    waits, failures = [], []

    def body():
        while not end.is_set():
            try:
                connection, wait = negotiate(container)
                connection.close()
                waits.append(wait)
            except OSError as error:
                failures.append(f"{error}")
            # Some hundreds a second, as a busy server has.
            time.sleep(0.005)

    clients = [threading.Thread(target=body) for _ in range(threads)]
    for client in clients:
        client.start()
    try:
        yield waits, failures
    finally:
        end.set()
        for client in clients:
            client.join()
