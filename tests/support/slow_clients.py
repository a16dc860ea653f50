"""Clients that let a server wait: a program that keeps so many connections open, five kinds of them.

    python slow_clients.py PORT COUNT

Each connection is opened again when the server closes it. Every second a line says how many are open.
"""

import asyncio
import itertools
import socket
import sys

from kmixer.serving.connections import most_connections

HEAD = b"POST /classify HTTP/1.1\r\nhost: localhost\r\n"
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


async def headers_never_finished(reader, writer):
    writer.write(HEAD)
    await reader.read()


async def one_byte_a_second(reader, writer):
    for byte in GET + b"x: " + b"y" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def body_never_sent(reader, writer):
    writer.write(HEAD + b"content-length: 30000\r\n\r\n")
    await reader.read()


async def answers_never_read(reader, writer):
    writer.transport.pause_reading()
    writer.write(4 * (GET + b"\r\n"))
    await asyncio.sleep(3600)


async def idle(reader, writer):
    writer.write(GET + b"\r\n")
    await reader.read()


KINDS = (headers_never_finished, one_byte_a_second, body_never_sent, answers_never_read, idle)


def small_socket():
    """Return a socket that takes little of an answer before it is read."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.setblocking(False)
    return opened


async def attack(port, kind, opened):
    while True:
        try:
            connection = small_socket()
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=connection)
        except OSError:
            await asyncio.sleep(0.5)
            continue
        opened.add(writer)
        try:
            await kind(reader, writer)
        except OSError:
            pass
        finally:
            opened.discard(writer)
            writer.transport.abort()
        await asyncio.sleep(0.5)


async def attack_all(port, count):
    opened, tasks = set(), []
    for kind, _ in zip(itertools.cycle(KINDS), range(count), strict=False):
        tasks.append(asyncio.create_task(attack(port, kind, opened)))
        await asyncio.sleep(0.001)
    while True:
        print(len(opened), flush=True)
        await asyncio.sleep(1)


if __name__ == "__main__":
    most_connections()  # the clients' descriptors are as many
    asyncio.run(attack_all(int(sys.argv[1]), int(sys.argv[2])))
