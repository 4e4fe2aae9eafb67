#!/usr/bin/env bash
# The programs that come with Kafka, against a cluster. `run` beside it says how Java is started; the one above, where
# the cluster is and where it keeps its files.
set -uo pipefail
topic=tools-$$
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tries() {
  local feature=$1 began=$SECONDS why
  shift
  if why=$("$@" 2>&1); then echo "$feature|ok"; else echo "$why" >&2; echo "$feature|$(tail -n 1 <<<"$why" | tr '|' ' ')"; fi
  echo "$((SECONDS - began)) s $feature" >&2
}
same() { [ "$1" == "$2" ] || { echo "'$1' instead of '$2'"; return 1; }; }
# Each is a class; their scripts are not in the packages.
tool() { timeout 60 java $JAVA_OPTIONS -cp "$WORK/java/*" "org.apache.kafka.tools.$1" "${@:2}" 2>"$work/err" || { cat "$work/err"; return 1; }; }
topics() { tool TopicCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
groups() { tool consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
offsets() { tool GetOffsetShell --bootstrap-server "$BOOTSTRAP" --topic "$topic" "$@" | sort; }

create() {
  topics --create --topic "$topic" --partitions 2 --replication-factor 3 || return 1
  topics --alter --topic "$topic" --partitions 3 || return 1
  same "$(topics --list | grep -cx "$topic")" 1
}
tries "kafka-topics" create
describe() {
  same "$(topics --describe --topic "$topic" | grep -c "Partition: [0-2].*Replicas: .,.,.")" 3 || return 1
  topics --create --topic "$topic-compacted" --partitions 1 --replication-factor 3 --config cleanup.policy=compact || return 1
  same "$(topics --describe --topic "$topic-compacted" | grep -c "Configs:.*cleanup.policy=compact")" 1
}
tries "kafka-topics --describe" describe
describe() { same "$(topics --describe --topic "$topic" | grep -c "Leader: [1-3].Replicas: .,.,..Isr: .,.,.")" 3; }
verifiable() {
  local to=(--bootstrap-server "$BOOTSTRAP" --topic "$topic")
  tool VerifiableProducer "${to[@]}" --max-messages 900 --acks -1 >"$work/produced" || return 1
  same "$(grep -c producer_send_success "$work/produced")" 900 || return 1
  tool VerifiableConsumer "${to[@]}" --group-id "$topic" --reset-policy earliest --max-messages 900 --verbose >"$work/consumed" || return 1
  same "$(sed -n 's/.*"record_data".*"value":"\([0-9]*\)".*/\1/p' "$work/consumed" | sort -n | md5sum)" "$(seq 0 899 | md5sum)"
}
tries "kafka-verifiable-producer, -consumer" verifiable
console() {
  local to=(--bootstrap-server "$BOOTSTRAP" --topic "$topic")
  seq 1000 1099 | tool ConsoleProducer "${to[@]}" --command-property acks=all || return 1
  same "$(tool consumer.ConsoleConsumer "${to[@]}" --group "$topic" --from-beginning --max-messages 100 | sort -n | md5sum)" "$(seq 1000 1099 | md5sum)"
}
tries "kafka-console-producer, -consumer" console
# Partition, committed offset, end and lag of each partition.
described() { groups --group "$topic" --describe "$@" | awk -v topic="$topic" '$2 == topic { print $3, $4, $5, $6 }' | sort; }
total() { awk -v column="$1" '{ sum += $column } END { print sum }'; }
listed() { tool consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" --list | grep -cx "$topic"; }
consumer_groups() {
  same "$(listed)" 1 || return 1
  same "$(groups --group "$topic" --describe --state | awk -v group="$topic" '$1 == group { print $(NF - 1), $NF }')" "Empty 0" || return 1
  same "$(described | total 2) $(described | total 4)" "1000 0" || return 1
  groups --group "$topic" --reset-offsets --topic "$topic" --to-earliest --execute || return 1
  same "$(described | total 4)" 1000 || return 1
  groups --group "$topic" --reset-offsets --topic "$topic" --to-datetime 2100-01-01T00:00:00.000 --execute || return 1
  same "$(described | total 4)" 0 || return 1
  groups --group "$topic" --delete-offsets --topic "$topic:0" || return 1
  same "$(described | awk '$1 == 0')" "" || return 1
  groups --group "$topic" --delete || return 1
  same "$(listed)" 0
}
tries "kafka-consumer-groups" consumer_groups
modern() {
  local group=$topic-new reader
  java $JAVA_OPTIONS -cp "$WORK/java/*" org.apache.kafka.tools.VerifiableConsumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" \
    --group-id "$group" --group-protocol consumer --reset-policy earliest >"$work/modern" 2>"$work/err" &
  reader=$!
  for _ in $(seq 60); do
    [ "$(sed -n 's/.*"records_consumed","count":\([0-9]*\).*/\1/p' "$work/modern" | total 1)" == 1000 ] && break
    sleep 0.5
  done
  same "$(groups --group "$group" --describe | awk -v topic="$topic" '$2 == topic { print $3 }' | sort | paste -sd ,)" 0,1,2 || return 1
  same "$(groups --group "$group" --describe --members --verbose | awk -v group="$group" '$1 == group { print $5, $7, $9 }')" \
    "3 $topic:0,1,2 $topic:0,1,2" || return 1
  same "$(groups --group "$group" --describe --state --verbose | awk -v group="$group" '$1 == group { print $(NF - 4), $(NF - 3), $(NF - 2) - $(NF - 1), $NF }')" \
    "uniform Stable 0 1" || return 1
  same "$(tool consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" --list --type consumer | awk -v group="$group" '$1 == group { print $2 }')" Consumer || return 1
  kill $reader && wait $reader
  same "$(groups --group "$group" --describe --state | awk -v group="$group" '$1 == group { print $(NF - 1), $NF }')" "Empty 0" || return 1
  same "$(groups --group "$group" --describe | awk -v topic="$topic" '$2 == topic { print $4, $6 }' | total 1)" 1000 || return 1
  groups --group "$group" --delete
}
tries "kafka-consumer-groups, KIP-848" modern
ends() {
  same "$(offsets --time latest | awk -F : '{ sum += $3 } END { print sum }')" 1000 || return 1
  local end
  end=$(offsets --time latest | awk -F : '$2 == 1 { print $3 }')
  echo "{\"version\":1,\"partitions\":[{\"topic\":\"$topic\",\"partition\":1,\"offset\":$end}]}" >"$work/records"
  tool DeleteRecordsCommand --bootstrap-server "$BOOTSTRAP" --offset-json-file "$work/records" || return 1
  same "$(offsets --time earliest | awk -F : '$2 == 1 { print $3 }')" "$end"
}
tries "kafka-get-offsets, -delete-records" ends
# A leader is killed; another leads until the first is asked for again.
elects() {
  local which=(--topic "$topic" --partition 0) preferred
  leads() { topics --describe --topic "$topic" | sed -n 's/.*Partition: 0.*Leader: \([0-9a-z]*\).Replicas: \([0-9]\),.*/\1 \2/p'; }
  preferred=$(leads | cut -d ' ' -f 2)
  tool LeaderElectionCommand --bootstrap-server "$BOOTSTRAP" --election-type preferred --all-topic-partitions || return 1
  same "$(leads)" "$preferred $preferred" || return 1
  "$(dirname "$0")/../node" kill "broker-$preferred" || return 1
  for _ in $(seq 30); do topics --describe --topic "$topic" --under-replicated-partitions | grep -q . || break; done
  [ "$(leads)" != "$preferred $preferred" ] || { echo "nobody else leads"; return 1; }
  tool LeaderElectionCommand --bootstrap-server "$BOOTSTRAP" --election-type preferred "${which[@]}" || return 1
  same "$(leads)" "$preferred $preferred" || return 1
  tool LeaderElectionCommand --bootstrap-server "$BOOTSTRAP" --election-type preferred "${which[@]}" | grep -q "Valid replica already elected"
}
tries "kafka-leader-election" elects
quorum() {
  tool MetadataQuorumCommand --bootstrap-server "$BOOTSTRAP" describe --status >"$work/quorum" || return 1
  same "$(grep -c '^LeaderId: *[0-9]' "$work/quorum") $(grep '^CurrentVoters:' "$work/quorum" | grep -o '"id"' | wc -l) $(grep '^CurrentObservers:' "$work/quorum" | grep -o '"id"' | wc -l)" "1 3 3" || { cat "$work/quorum"; return 1; }
  same "$(tool MetadataQuorumCommand --bootstrap-server "$BOOTSTRAP" describe --replication | awk '$NF == "Leader"' | wc -l)" 1
}
tries "kafka-metadata-quorum" quorum
# What the brokers have on their disks is as Kafka would have written it, and so is what they know of groups.
dump() {
  local all of_groups
  all=$(find "$DATA"/broker-*/topic* -name '*.log' -size +0 | sort | paste -sd ,)
  tool DumpLogSegments --files "$all" --deep-iteration --max-message-size 8000000 >"$work/dumped" || return 1
  ! grep -i -e "isvalid: false" -e mismatch -e "non-consecutive" "$work/dumped" || return 1
  # Only the log of our group's partition knows our group's name.
  of_groups=$(grep -rl "$topic" "$DATA"/broker-*/topic* --include '*.log' | paste -sd ,)
  tool DumpLogSegments --files "$of_groups" --offsets-decoder >"$work/dumped" || return 1
  # A member of the group that speaks KIP-848 came and went, and so did its group, in the logs of all three brokers.
  same "$(grep -c "\"type\":\"3\",\"data\":{\"groupId\":\"$topic-new\"}.*payload: <DELETE>" "$work/dumped")" 3 || return 1
  same "$(grep -c "\"type\":\"8\",\"data\":{\"groupId\":\"$topic-new\".*\"memberEpoch\":1" "$work/dumped")" 3 || return 1
  # The last of each broker's about each partition is that nothing is committed any more.
  same "$(grep -c "\"group\":\"$topic\",\"topic\":\"$topic\",.*payload: <DELETE>" "$work/dumped")" 9
}
tries "kafka-dump-log" dump
topics --delete --topic "$topic.*" >/dev/null
