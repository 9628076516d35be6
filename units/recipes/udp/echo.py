"""Echoes datagrams of the socket in LISTEN_FD_UDP. At SIGTERM it ends between two packets; what waits is its successor's."""
import os
import select
import signal
import socket

server = socket.socket(fileno=int(os.environ["LISTEN_FD_UDP"]))
server.setblocking(False)
# A signal becomes a byte in a pipe, so that it cannot come between reading a packet and answering it.
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)
signal.signal(signal.SIGTERM, lambda *_: None)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
poll = select.poll()
poll.register(server, select.POLLIN)
poll.register(reading, select.POLLIN)
while reading not in dict(poll.poll()):
    try:
        data, client = server.recvfrom(65536)
    except BlockingIOError:
        # The other generation was faster.
        continue
    server.sendto(data, client)
