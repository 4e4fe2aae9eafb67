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
asking() { python3 "$(dirname "$0")/asking.py" "$@"; }
asking create "$topic" || exit 1
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
asked() {
  seq 10 | timeout 20 kcat -P -b "$CREATES" -t "$topic" || return 1
  same "$(timeout 20 kcat -C -q -b "$CREATES" -t "$topic" -e | md5sum)" "$(seq 10 | md5sum)"
}
tries "topic created by asking" asked
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
groups=$topic-groups
classic=(-X session.timeout.ms=6000)
protocol=("${classic[@]}")
member() { exec timeout 60 kcat -b "$BOOTSTRAP" -X auto.offset.reset=earliest "${protocol[@]}" "$@" "$groups"; }
goes_on() {
  local first second
  asking create "$groups" || return 1
  for n in 0 1 2; do seq $((n * 30 + 1)) $((n * 30 + 30)) | timeout 20 kcat -P -b "$BOOTSTRAP" -t "$groups" -p $n || return 1; done
  first=$(member -q -c 40 -G "goes on $topic") || return 1
  second=$(member -q -e -G "goes on $topic") || return 1
  same "$(printf '%s\n%s\n' "$first" "$second" | sort -n | md5sum)" "$(seq 90 | md5sum)"
}
tries "group goes on where it was" goes_on
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Members in the background, of a group and with a name each. They say what they read and what they are assigned.
begin() {
  local group=$1 name=$2
  shift 2
  member -u -f '%p %o\n' "$@" -G "$group $topic" >>"$work/$group-$name" 2>>"$work/$group-$name.err" &
  echo $! >"$work/$group-$name.pid"
}
end() { kill "$(cat "$work/$1.pid")" && tail --pid="$(cat "$work/$1.pid")" -f /dev/null; }
# What a member has, of what it was told: all that it has from now on, or what comes and goes.
has() {
  awk '/ rebalanced/ {
    some = /incremental/; goes = /revoke/; rest = $0
    if (!some) split("", mine)
    while (match(rest, /\[[0-9]\]/)) {
      if (goes) delete mine[substr(rest, RSTART + 1, 1)]; else mine[substr(rest, RSTART + 1, 1)]
      rest = substr(rest, RSTART + 3)
    }
  } END { for (n = 0; n < 3; n++) if (n in mine) printf n }' "$work/$1.err"
}
both() { [ -n "$(has "$1")" ] && [ -n "$(has "$2")" ] && { has "$1"; has "$2"; } | grep -o . | sort | tr -d '\n'; }
becomes() { for _ in $(seq 300); do [ "$("${@:2}")" == "$1" ] && return; sleep 0.1; done; cat "$work"/*.err; return 1; }
share() {
  local it=$1
  begin "$it" one
  begin "$it" other
  becomes 012 both "$it-one" "$it-other" || return 1
  end "$it-one"
  becomes 012 has "$it-other" || return 1
  end "$it-other"
}
tries "two members share" share share
cooperative() {
  local how=(-X partition.assignment.strategy=cooperative-sticky)
  begin cooperative one "${how[@]}"
  becomes 012 has cooperative-one || return 1
  begin cooperative other "${how[@]}"
  becomes 012 both cooperative-one cooperative-other || return 1
  # The first has given up what the second has, and nothing else at any time.
  same "$(sed -n '/revoke/s/.*\[\(.\)\]/\1/p' "$work/cooperative-one.err")" "$(has cooperative-other)" || return 1
  end cooperative-other
  becomes 012 has cooperative-one || return 1
  end cooperative-one
}
tries "cooperative rebalance" cooperative
static() {
  local it=$1 had changes
  begin "$it" one -X group.instance.id=one
  begin "$it" other -X group.instance.id=other
  becomes 012 both "$it-one" "$it-other" || return 1
  had=$(has "$it-one") changes=$(grep -c rebalanced "$work/$it-other.err")
  # It comes back within its session: it has what it had, and the other hears nothing of it.
  end "$it-one"
  begin "$it" one -X group.instance.id=one
  becomes "$had" has "$it-one" || return 1
  sleep 2
  same "$(grep -c rebalanced "$work/$it-other.err")" "$changes" || return 1
  end "$it-one"
  end "$it-other"
}
tries "static members" static static
echo "groups described and deleted|-"
# How many different records it has read. Who is thrown out with something uncommitted reads that again.
different() { sort -u "$work/$1" | wc -l; }
coordinator() {
  local it=$1 first=$2 last=$3 coordinator
  begin "$it" one -X auto.commit.interval.ms=100
  coordinator=$(asking coordinator "$it $topic") || return 1
  (sleep 3; "$(dirname "$0")/node" kill "broker-$coordinator") &
  for n in $(seq "$first" "$last"); do echo "$n"; sleep 0.02; done |
    timeout 60 kcat -P -b "$BOOTSTRAP" -t "$groups" -X enable.idempotence=true -X linger.ms=1 || return 1
  wait %% || return 1
  becomes "$last" different "$it-one" || { same "$(different "$it-one")" "$last"; return 1; }
  end "$it-one"
  # All of that is committed.
  same "$(member -q -e -G "$it $topic")" ""
}
tries "coordinator killed" coordinator survives 91 390
patterns() {
  local groups="^$topic-g.*s\$"
  share patterns
}
moves() {
  local protocol=("${classic[@]}")
  begin moves one
  becomes 012 has moves-one || return 1
  protocol=("${modern[@]}")
  begin moves other
  becomes 012 both moves-one moves-other || return 1
  end moves-one
  becomes 012 has moves-other || return 1
  # And back.
  protocol=("${classic[@]}")
  begin moves one
  becomes 012 both moves-one moves-other || return 1
  end moves-other
  becomes 012 has moves-one || return 1
  end moves-one
}
modern=(-X group.protocol=consumer)
# It is as new as the librdkafka that it finds on the machine.
if kcat -X list 2>/dev/null | grep '^group\.protocol ' >/dev/null; then
  protocol=("${modern[@]}")
  tries "KIP-848 groups" share modern
  tries "KIP-848 static members" static modern-static
  tries "KIP-848 regular expressions" patterns
  tries "KIP-848 coordinator killed" coordinator modern-survives 391 690
  tries "KIP-848 from classic and back" moves
else
  for what in "groups" "static members" "regular expressions" "coordinator killed" "from classic and back"; do echo "KIP-848 $what|-"; done
fi
echo "configurations|-"
echo "delete topic|-"
