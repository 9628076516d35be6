"""Echoes WebSocket messages. At SIGTERM it accepts nobody any more and serves those who are connected; at SIGINT it says goodbye
to them (1001, going away), and they connect again: to the next generation."""
import asyncio
import os
import signal
import socket

import websockets


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    public = socket.socket(fileno=int(os.environ["LISTEN_FD_HTTP"]))
    leaving, ending = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ending.set)
    server = await websockets.serve(echo, sock=public)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    await leaving.wait()
    # Only the listening ends; the library's own close() would say goodbye to everybody.
    server.server.close()
    while server.websockets and not ending.is_set():
        await asyncio.sleep(0.05)
    server.close()
    await server.wait_closed()


asyncio.run(main())
