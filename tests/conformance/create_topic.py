"""Creates a topic of three partitions and three replicas with nothing but sockets: for clients that cannot."""

import socket
import struct
import sys
import time


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def ask(address, key, version, body):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as peer:
        frame = struct.pack(">hhi", key, version, 1) + string("create") + body
        peer.sendall(struct.pack(">i", len(frame)) + frame)
        size = struct.unpack(">i", peer.recv(4, socket.MSG_WAITALL))[0]
        return peer.recv(size, socket.MSG_WAITALL)


bootstrap, topic = sys.argv[1:3]
address = bootstrap.split(",")[0]
body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihii", 3, 3, 0, 0) + struct.pack(">ib", 30_000, 0)
for _ in range(60):
    # Correlation, throttle time, one topic: its name and the error.
    answer = ask(address, 19, 2, body)
    error = struct.unpack(">h", answer[12 + 2 + len(topic):][:2])[0]
    if error in (0, 36):
        time.sleep(0.5)
        sys.exit(0)
    time.sleep(0.5)
sys.exit(f"error {error}")
