//! Is every mistake in a scenario file told in a sentence, in its place, with what to write instead?
//!
//! Each case takes one scenario that is well and puts one thing wrong. The golden texts are what a person
//! sees.

use trial::scenario::{Change, diagnostic, load};

const BASE: &str = include_str!("scenario_errors/base.scenario.json");

/// The base with `from` replaced by `to`, which must change it.
fn spoiled(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from} must stand once in the base");
    BASE.replace(from, to)
}

fn told(text: &str) -> String {
    match load(text, &[]) {
        Ok(_) => "no problem".into(),
        Err(problems) => uncounted(&diagnostic::render("base.scenario.json", text, &problems, false)),
    }
}

/// How many events, checks and bugs there are is not what is tested here.
fn uncounted(text: &str) -> String {
    let mut parts = text.split("one of ");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let counted = rest.len() < part.len() && rest.starts_with(" names");
        out.push_str("one of ");
        out.push_str(if counted { "many" } else { "" });
        out.push_str(if counted { rest } else { part });
    }
    out
}

/// One class of mistake: what is replaced by what.
macro_rules! mistakes {
    ($($name:ident: $from:expr => $to:expr;)*) => { $(
        #[test]
        fn $name() {
            insta::with_settings!({ snapshot_path => "../../snapshots/scenario_errors", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), told(&spoiled($from, $to)));
            });
        }
    )* };
}

#[test]
fn the_base_is_well() {
    assert_eq!(told(BASE), "no problem");
}

mistakes! {
    syntax_missing_comma: r#""partitions": 2, "replication": 3,"# => r#""partitions": 2 "replication": 3,"#;
    syntax_single_quotes: r#""acks": "all""# => r#""acks": 'all'"#;
    syntax_ends_too_early: r#""expect": "pass""# => r#""expect": "#;
    key_twice: r#""phases": { "chaos": "15s""# => r#""faults": [], "phases": { "chaos": "15s""#;
    unknown_key: r#""lose_unsynced": true"# => r#""lose_unsyncd": true"#;
    unknown_top_key: r#""about": "#  => r#""abuot": "#;
    missing_key: r#""id": "slow-follower", "# => "";
    list_for_an_object: r#""phases": { "chaos": "15s", "settle": "10s" }"# => r#""phases": ["15s", "10s"]"#;
    wrong_type: r#""brokers": 3"# => r#""brokers": "three""#;
    negative_count: r#""brokers": 3"# => r#""brokers": -3"#;
    duration_without_unit: r#""for": "900ms""# => r#""for": 900"#;
    duration_without_unit_in_string: r#""for": "900ms""# => r#""for": "900""#;
    duration_with_unknown_unit: r#""for": "900ms""# => r#""for": "900min""#;
    duration_too_fine: r#""for": "900ms""# => r#""for": "5ns""#;
    tombstones_without_keys: r#""keys": { "zipf": { "count": 64 } }"# => r#""tombstones": "1/4""#;
    rate_without_per: r#""rate": "400/s""# => r#""rate": 400"#;
    size_without_unit: r#""size": "1KiB""# => r#""size": 1024"#;
    chance_above_one: r#""loss": 0.001"# => r#""loss": 1.5"#;
    spread_out_of_order: r#"{ "min": "200us", "mean": "1ms", "max": "20ms" }"# => r#"{ "min": "2ms", "mean": "1ms", "max": "20ms" }"#;
    seed_as_number: r#""name": "base""# => r#""name": "base", "seed": 11234"#;
    name_that_is_no_path: r#""name": "base""# => r#""name": "../base""#;
    other_version: r#""version": 1"# => r#""version": 2"#;
    wire_that_is_a_word: r#""expect": "pass""# => r#""wire": "kafka", "expect": "pass""#;
    wire_misspelled: r#""expect": "pass""# => r#""wired": true, "expect": "pass""#;

    unknown_event: r#""kind": "leader.elected""# => r#""kind": "leader_elected""#;
    unknown_check: r#""check": "replicas_agree""# => r#""check": "replicas_agreed""#;
    unknown_request: r#""api": "FETCH""# => r#""api": "FECTH""#;
    unknown_bug: r#""plant": []"# => r#""plant": ["truncate-to-local-hwm"]"#;
    unknown_fault: r#"{ "pause": { "node": "follower:orders-0" } }"# => r#"{ "puase": { "node": "follower:orders-0" } }"#;
    unknown_actor: r#"{ "consumer": {"# => r#"{ "consummer": {"#;
    pattern_that_is_none: r#""name": "c1", "topic": "orders""# => r#""name": "c1", "group": "billing", "pattern": "ord(ers""#;
    unknown_acks: r#""acks": "all""# => r#""acks": "quorum""#;
    unknown_selector_head: r#"{ "node": "leader:orders-0", "lose"# => r#"{ "node": "leadr:orders-0", "lose"#;
    unknown_selector_group: r#"{ "slow_disk": { "node": "any:broker""# => r#"{ "slow_disk": { "node": "any:brokers""#;
    selector_that_is_none: r#"{ "slow_disk": { "node": "any:broker""# => r#"{ "slow_disk": { "node": "some broker""#;

    unknown_broker: r#""to": "broker-2""# => r#""to": "broker-9""#;
    unknown_controller: r#"["controller:active", "any:controller"]"# => r#"["controller-4", "any:controller"]"#;
    unknown_client: r#""from": "c1""# => r#""from": "c2""#;
    client_of_many_by_its_actor: r#""from": "c1""# => r#""from": "p""#;
    unknown_topic_in_trigger: r#""kind": "produce.ack", "partition": "orders-0""# => r#""kind": "produce.ack", "partition": "order-0""#;
    unknown_partition_in_trigger: r#""kind": "produce.ack", "partition": "orders-0""# => r#""kind": "produce.ack", "partition": "orders-7""#;
    unknown_topic_of_producer: r#""name": "p", "count": 2, "topic": "orders""# => r#""name": "p", "count": 2, "topic": "orderz""#;
    unknown_fault_in_after: r#""after": "kill-leader""# => r#""after": "kill-leaders""#;
    unknown_fault_in_step: r#""step": "split""# => r#""step": "spilt""#;
    unknown_victim: r#""node": "victim:kill-leader""# => r#""node": "victim:killleader""#;
    event_without_a_partition: r#""kind": "leader.elected", "partition": "orders-0""# => r#""kind": "controller.elected", "partition": "orders-0""#;

    unknown_config_key: r#""min.insync.replicas": 2"# => r#""min.insync.replica": 2"#;
    config_key_of_somebody_else: r#""replica.lag.time.max.ms": 500"# => r#""retention.ms": 500"#;
    config_value_out_of_bounds: r#""min.insync.replicas": 2"# => r#""min.insync.replicas": 0"#;
    config_value_of_another_type: r#""min.insync.replicas": 2"# => r#""min.insync.replicas": "two""#;
    config_value_that_is_a_list: r#""min.insync.replicas": 2"# => r#""min.insync.replicas": [2]"#;
    min_insync_above_replication: r#""min.insync.replicas": 2"# => r#""min.insync.replicas": 4"#;
    replication_above_brokers: r#""replication": 3"# => r#""replication": 5"#;
    assignment_of_no_broker: r#""partitions": 2, "replication": 3"# => r#""assignment": [[1, 2, 4], [2, 2, 3]]"#;
    topic_twice: r#""topics": ["# => r#""topics": [ { "name": "orders" },"#;
    topic_without_a_legal_name: r#"{ "name": "orders", "#  => r#"{ "name": "or ders", "#;
    client_twice: r#""name": "c1""# => r#""name": "p-2""#;
    client_named_like_a_broker: r#""name": "c1""# => r#""name": "broker-1""#;
    idempotence_without_acks_all: r#""acks": "all""# => r#""acks": "1""#;
    idempotence_with_six_in_flight: r#""max_in_flight": 5"# => r#""max_in_flight": 6"#;
    config_said_twice: r#""linger.ms": 5"# => r#""acks": "all""#;
    delivery_timeout_too_short: r#""linger.ms": 5"# => r#""delivery.timeout.ms": 1000"#;
    consumer_of_topic_and_partitions: r#""topic": "orders", "from": "earliest""# => r#""topic": "orders", "partitions": ["orders-0"]"#;
    step_after_the_end: r#"{ "at": "4s", "do": { "seek_to_time""# => r#"{ "at": "4h", "do": { "seek_to_time""#;
    admin_grows_to_less: r#""total": 4"# => r#""total": 2"#;

    fault_id_twice: r#""id": "split""# => r#""id": "kill-leader""#;
    two_triggers: r#""when": { "at": "2s" }"# => r#""when": { "at": "2s", "step": "split" }"#;
    no_trigger: r#""when": { "at": "2s" }"# => r#""when": { "delay": "2s" }"#;
    trigger_after_the_chaos: r#""when": { "at": "2s" }"# => r#""when": { "at": "20s" }"#;
    triggers_in_a_circle: r#""when": { "at": "5s" }"# => r#""when": { "step": "one-way" }"#;
    trigger_of_itself: r#""when": { "at": "5s" }"# => r#""when": { "step": "split" }"#;
    times_of_what_comes_once: r#""for": "900ms""# => r#""times": 3"#;
    duration_of_what_takes_none: r#""by": "-30s" } } }"# => r#""by": "-30s" } }, "for": "3s" }"#;
    one_sided_cut: r#"[["controller:active", "any:controller"], ["rest"]]"# => r#"[["controller:active"]]"#;
    node_on_both_sides: r#"[["controller:active", "any:controller"], ["rest"]]"# => r#"[["broker-1"], ["broker-1", "rest"]]"#;
    rest_outside_a_cut: r#""node": "victim:kill-leader""# => r#""node": "rest""#;
    disk_of_a_client: r#"{ "slow_disk": { "node": "any:broker""# => r#"{ "slow_disk": { "node": "c1""#;
    chance_of_never: r#""api": "FETCH""# => r#""api": "FETCH", "chance": 0"#;
    role_before_the_run: r#""from": "broker-1", "to": "broker-2""# => r#""from": "leader:orders-0", "to": "broker-2""#;

    chaos_of_no_length: r#""chaos": "15s", "settle": "10s""# => r#""chaos": "0s", "settle": "10s""#;
    settled_without_settling: r#""chaos": "15s", "settle": "10s""# => r#""chaos": "15s", "settle": "0s""#;
    within_longer_than_settle: r#""check": "metadata_converges""# => r#""check": "metadata_converges", "within": "20s""#;
    goal_without_event: r#""check": "sometimes", "event": "leader.elected", "at_least": 2"# => r#""check": "sometimes""#;
    count_on_a_promise: r#""check": "replicas_agree""# => r#""check": "replicas_agree", "at_least": 2"#;
    promise_twice: r#""check": "replicas_agree" },"# => r#""check": "replicas_agree" }, { "check": "replicas_agree" },"#;
    expects_what_is_not_checked: r#""expect": "pass""# => r#""expect": { "violates": "no_duplicates" }"#;
    nemesis_after_the_chaos: r#""between": ["1s", "14s"]"# => r#""between": ["1s", "24s"]"#;
    nemesis_of_nothing: r#""weights": { "crash": 2, "cut": 1 }"# => r#""weights": { "crash": 0 }"#;
    nemesis_of_unknown_kind: r#""weights": { "crash": 2, "cut": 1 }"# => r#""weights": { "crash": 2, "partition": 1 }"#;
    after_wide_characters: r#""about": "the base""# => r#""about": "é→名", "abuot": "twice as wide""#;
}

fn shown(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots/scenario_errors", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, told(text));
    });
}

#[test]
fn an_empty_file_is_told() {
    shown("empty_file", "// nothing\n");
}

#[test]
fn a_list_is_not_a_scenario() {
    shown("not_an_object", "[1, 2]");
}

#[test]
fn everything_that_cannot_be_meant_is_told_at_once() {
    let text = spoiled(r#""min.insync.replicas": 2"#, r#""min.insync.replicas": 4"#)
        .replace(r#""after": "kill-leader""#, r#""after": "kill-leaders""#)
        .replace(r#""to": "broker-2""#, r#""to": "broker-9""#);
    let problems = load(&text, &[]).expect_err("three things are wrong");
    assert_eq!(problems.len(), 3, "{problems:#?}");
}

#[test]
fn what_the_file_cannot_say_is_told_together_as_far_as_it_can_be() {
    let text =
        spoiled(r#""for": "900ms""#, r#""for": 900"#).replace(r#""api": "FETCH""#, r#""api": "FECTH""#);
    let problems = load(&text, &[]).expect_err("two things are wrong");
    assert_eq!(problems.len(), 2, "{problems:#?}");
}

#[test]
fn the_marked_bytes_are_the_mistake() {
    for (from, to, marked) in [
        (r#""kind": "leader.elected""#, r#""kind": "é名.elected""#, "\"é名.elected\""),
        (r#""to": "broker-2""#, r#""to": "broker-9""#, "\"broker-9\""),
        (r#""lose_unsynced": true"#, r#""lose_unsyncd": true"#, "\"lose_unsyncd\""),
        (r#"{ "pause": { "node": "follower:orders-0" } }"#, r#"{ "puase": { "node": "x" } }"#, "\"puase\""),
    ] {
        // The comment puts multi-byte characters before everything.
        let text = format!("// «é名→»\n{}", spoiled(from, to));
        let problems = load(&text, &[]).expect_err(to);
        assert_eq!(&text[problems[0].at.clone()], marked);
    }
}

#[test]
fn a_change_is_looked_at_like_the_file() {
    let change = |path: &str, value: serde_json::Value| Change {
        path: path.split('.').map(str::to_string).collect(),
        value,
    };
    let loaded = load(BASE, &[change("faults.0.for", "100ms".into())]).expect("is well");
    assert_eq!(loaded.faults[0].lasts.map(|span| span.to_string()).as_deref(), Some("100ms"));
    for (path, value) in
        [("faults.9.for", "1s"), ("faults.0.for", "soon"), ("name.x", "1s"), ("fautls", "1s")]
    {
        assert!(load(BASE, &[change(path, value.into())]).is_err(), "{path}={value}");
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    let scenario = load(BASE, &[]).expect("is well");
    let written = serde_json::to_string_pretty(&scenario).expect("writes");
    assert_eq!(load(&written, &[]).expect("reads"), scenario);
}
