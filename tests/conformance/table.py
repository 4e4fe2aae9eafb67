"""Prints what the clients have found as a table, and ends with 1 if something should work and does not."""

import pathlib
import sys

FEATURES = [
    "metadata", "create topic", "acks 0", "acks 1", "acks all", "gzip", "snappy", "lz4", "zstd",
    "keys, headers, timestamps", "idempotent producer", "from the beginning", "from an offset", "from a time",
    "900 kB message", "unknown topic", "topic created by asking", "message too large", "leader killed: exactly once",
    "group goes on where it was", "two members share", "cooperative rebalance", "static members",
    "groups described and deleted", "coordinator killed", "KIP-848 groups", "KIP-848 static members",
    "KIP-848 regular expressions", "KIP-848 coordinator killed", "KIP-848 from classic and back", "configurations",
    "delete topic",
]
# The programs that come with Kafka, which are tried along with its own client.
PROGRAMS = [
    "kafka-topics", "kafka-topics --describe", "kafka-verifiable-producer, -consumer", "kafka-console-producer, -consumer", "kafka-consumer-groups",
    "kafka-consumer-groups, KIP-848",
    "kafka-get-offsets, -delete-records", "kafka-leader-election", "kafka-metadata-quorum", "kafka-dump-log",
]


def read(path):
    """What a client printed: a line a feature, `feature|ok`, `feature|-` where it has none, or `feature|why not`."""
    if not path.exists():
        return None
    lines = (line.split("|", 1) for line in path.read_text().splitlines() if "|" in line)
    return {feature: outcome for feature, outcome in lines}


def main():
    work, clients = pathlib.Path(sys.argv[1]), sys.argv[2:]
    results = {client: read(work / f"{client}.result") for client in clients}
    failed = []
    versions = [(results[client] or {}).get("version", "") for client in clients]
    heads = [f"{client} {version}".strip() for client, version in zip(clients, versions)]
    print("| | " + " | ".join(heads) + " |")
    print("|---" * (len(clients) + 1) + "|")
    for feature in FEATURES + (PROGRAMS if "java" in clients else []):
        cells = []
        for client in clients:
            found = results[client]
            foreign = feature in PROGRAMS and client != "java"
            outcome = "-" if foreign else "not installed" if found is None else found.get(feature, "not tried")
            if outcome not in ("ok", "-", "not installed"):
                failed.append(f"{client}: {feature}: {outcome}")
                outcome = "**no**"
            cells.append(outcome)
        print(f"| {feature} | " + " | ".join(cells) + " |")
    if all(found is None for found in results.values()):
        failed.append("none of the clients could be installed: nothing was tried")
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


sys.exit(main())
