#!/usr/bin/env bash
# kcat against a cluster. It creates no topics: the cluster's other clients have a topic made for it.
set -uo pipefail
topic=kcat-$$

tries() {
  local feature=$1 why
  shift
  if why=$("$@" 2>&1); then echo "$feature|ok"; else echo "$why" >&2; echo "$feature|$(tail -n 1 <<<"$why" | tr '|' ' ')"; fi
}
produce() { timeout 20 kcat -P -b "$BOOTSTRAP" -t "$topic" "$@"; }
consume() { timeout 20 kcat -C -q -b "$BOOTSTRAP" -t "$topic" -e "$@"; }
same() { [ "$1" == "$2" ] || { echo "'$1' instead of '$2'"; return 1; }; }

echo "version|$(kcat -V | sed -n 's/.*Version \([0-9.]*\).*/\1/p')"
tries "metadata" bash -c 'timeout 20 kcat -L -b "$BOOTSTRAP" | grep -q "3 brokers"'
echo "create topic|-"
python3 "$(dirname "$0")/create_topic.py" "$BOOTSTRAP" "$topic" || exit 1
acks() { seq 50 | produce -p 0 -X acks="$1"; }
for which in 0 1 all; do tries "acks $which" acks $which; done
codec() {
  local low
  seq 1000 | produce -p 1 -z "$1" -X acks=all || return 1
  same "$(consume -p 1 -o -1000 | md5sum)" "$(seq 1000 | md5sum)"
}
for which in gzip snappy lz4 zstd; do tries $which codec $which; done
trimmings() {
  echo key:value | produce -p 2 -K : -H twice=1 -H twice=2 || return 1
  same "$(consume -p 2 -o beginning -f '%k %s %h\n')" "key value twice=1,twice=2"
}
tries "keys, headers, timestamps" trimmings
idempotent() { seq 500 | produce -p 0 -X enable.idempotence=true; }
tries "idempotent producer" idempotent
beginning() { same "$(consume -p 0 -o beginning -f '%o\n' | head -n 100 | md5sum)" "$(seq 0 99 | md5sum)"; }
tries "from the beginning" beginning
offset() { same "$(consume -p 0 -o 77 -f '%o\n' | head -n 1)" 77; }
tries "from an offset" offset
moment() { same "$(consume -p 2 -o s@1600000000000 -c 1 -f '%o\n')" 0; }
tries "from a time" moment
large() {
  local file
  file=$(mktemp)
  head -c 900000 /dev/zero | tr '\0' x >"$file"
  produce -p 2 "$file" || return 1
  same "$(consume -p 2 -o -1 | tr -d '\n' | md5sum)" "$(md5sum <"$file")"
}
tries "900 kB message" large
unknown() { ! echo x | timeout 20 kcat -P -b "$BOOTSTRAP" -t "$topic-unknown" -X message.timeout.ms=4000 -X topic.metadata.propagation.max.ms=1000; }
tries "unknown topic" unknown
toolarge() {
  local file
  file=$(mktemp)
  head -c 2000000 /dev/zero | tr '\0' x >"$file"
  ! produce -p 2 -X message.max.bytes=4000000 "$file"
}
tries "message too large" toolarge
survives() {
  local leader before
  leader=$(timeout 20 kcat -L -b "$BOOTSTRAP" -t "$topic" | sed -n 's/.*partition 0, leader \([0-9]*\),.*/\1/p')
  before=$(consume -p 0 -o beginning -f '%o\n' | wc -l)
  (sleep 1; "$(dirname "$0")/node" kill "broker-$leader") &
  for n in $(seq 400); do echo "survivor $n"; sleep 0.01; done | produce -p 0 -X enable.idempotence=true -X linger.ms=1 || return 1
  wait || return 1
  same "$(consume -p 0 -o "$before" | md5sum)" "$(for n in $(seq 400); do echo "survivor $n"; done | md5sum)"
}
tries "leader killed: exactly once" survives
echo "delete topic|-"
