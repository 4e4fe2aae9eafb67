"""Asks a cluster with nothing but sockets, for clients that cannot.

    asking.py create TOPIC        three partitions, three replicas; waits until there are brokers for them
    asking.py coordinator GROUP   prints the number of the broker that looks after it
"""

import os
import socket
import struct
import sys
import time


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def one_that_answers(key, version, body):
    """What the first broker that answers says, without the correlation id; none if none does."""
    for address in os.environ["BOOTSTRAP"].split(","):
        host, port = address.rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port)), 10) as peer:
                frame = struct.pack(">hhi", key, version, 1) + string("asking") + body
                peer.sendall(struct.pack(">i", len(frame)) + frame)
                size = struct.unpack(">i", peer.recv(4, socket.MSG_WAITALL))[0]
                return peer.recv(size, socket.MSG_WAITALL)[4:]
        except (OSError, struct.error):
            continue
    return None


def ask(key, version, body):
    """What the first broker that answers says, without the correlation id."""
    answer = one_that_answers(key, version, body)
    if answer is None:
        sys.exit("no broker answers")
    return answer


def create(topic):
    body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihii", 3, 3, 0, 0) + struct.pack(">ib", 30_000, 0)
    for _ in range(60):
        # Throttle time, one topic: its name and the error.
        error = struct.unpack_from(">h", ask(19, 2, body), 4 + 4 + 2 + len(topic))[0]
        time.sleep(0.5)
        if error in (0, 36):
            return
    sys.exit(f"error {error}")


def coordinator(group):
    for _ in range(60):
        error, node = struct.unpack_from(">hi", ask(10, 0, string(group)))
        if error == 0:
            print(node)
            return
        time.sleep(0.5)
    sys.exit(f"error {error}")


def leaders(topic):
    """How many partitions of a topic have a leader, as the first broker that answers knows."""
    answer = one_that_answers(3, 0, struct.pack(">i", 1) + string(topic))
    if answer is None:
        return 0
    at = 4
    for _ in range(struct.unpack_from(">i", answer)[0]):
        # A broker: its number, host and port.
        at += 4 + 2 + struct.unpack_from(">h", answer, at + 4)[0] + 4
    # One topic: its error and name, and its partitions: error, number, leader, replicas, in-sync replicas.
    at += 4 + 2 + 2 + len(topic)
    (partitions,), at = struct.unpack_from(">i", answer, at), at + 4
    led = 0
    for _ in range(partitions):
        led += struct.unpack_from(">i", answer, at + 2 + 4)[0] >= 0
        at += 2 + 4 + 4
        for _ in range(2):
            at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
    return led


if __name__ == "__main__":
    {"create": create, "coordinator": coordinator}[sys.argv[1]](sys.argv[2])
