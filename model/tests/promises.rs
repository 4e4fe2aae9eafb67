//! Does the model keep what Kafka promises? One test for one sentence of Kafka's own documentation.
//!
//! Each test quotes its sentence, without markup, and says where it stands: a file of Apache Kafka's repository
//! as of October 2024, where nothing else is said. It then has real nodes keep it: nothing below asks a helper
//! of the model what it would do.

mod words;

mod promises {
    pub mod cluster;

    pub mod acknowledging;
    pub mod idempotence;
    pub mod sending;
    pub mod consuming;
    pub mod grouping;
    pub mod reconciling;
    pub mod replicating;
    pub mod electing;
    pub mod storing;
    pub mod compacting;
    pub mod agreeing;
    pub mod asking;
}

use std::{fs, path::PathBuf};

/// Every file of promises, with its name.
fn files() -> Vec<(String, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/promises");
    let entries =
        fs::read_dir(dir).expect("the promises are there").map(|entry| entry.expect("a file").path());
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    entries
        .map(|path| (name(&path).unwrap_or_default(), fs::read_to_string(&path).expect("it can be read")))
        .filter(|(name, _)| name != "cluster.rs")
        .collect()
}

#[test]
fn every_promise_quotes_its_sentence_and_names_its_source() {
    let mut promises = 0;
    for (name, text) in files() {
        let tests: Vec<&str> = text.split("#[test]\n").collect();
        for (before, test) in tests.iter().zip(&tests[1..]) {
            let title = test.lines().next().unwrap_or_default();
            let doc = before.lines().rev().take_while(|line| line.starts_with("///"));
            let doc: Vec<&str> = doc.map(|line| line.trim_start_matches("///").trim()).collect();
            assert!(doc.iter().any(|line| line.starts_with("> ")), "{name}: {title} quotes nothing");
            let source = |line: &&str| !line.starts_with('>') && line.starts_with('`');
            assert!(doc.iter().any(source), "{name}: {title} names no source");
            promises += 1;
        }
    }
    assert!(promises >= 70, "{promises} promises");
}

/// With a bug of the museum switched on, the promise that it breaks is not kept.
#[cfg(feature = "museum")]
mod planted {
    use trial_model::museum::{Bug, Museum};

    use super::promises::{
        acknowledging, agreeing, cluster::PLANTED, consuming, electing, idempotence, replicating,
    };

    fn breaks(bug: Bug, promise: fn()) {
        PLANTED.set(Museum::CLOSED.with(bug));
        let kept = std::panic::catch_unwind(promise);
        PLANTED.set(Museum::CLOSED);
        assert!(kept.is_err(), "the promise is kept with {}", bug.slug());
    }

    macro_rules! planted {
        ($($test:ident: $bug:ident breaks $file:ident::$promise:ident;)*) => {
            $(#[test] fn $test() { breaks(Bug::$bug, $file::$promise); })*
        };
    }

    planted! {
        acks_all_without_min_isr: AcksAllWithoutMinIsr
            breaks acknowledging::a_write_fails_that_too_few_replicas_would_acknowledge;
        committed_without_min_isr: AcksAllWithoutMinIsr
            breaks acknowledging::nothing_is_committed_by_too_few_replicas;
        sequence_reset_on_delivery_timeout: SequenceResetOnDeliveryTimeout
            breaks idempotence::after_a_gap_a_producer_goes_on_in_another_epoch;
        no_truncation_check_after_leader_change: NoTruncationCheckAfterLeaderChange
            breaks consuming::a_consumer_notices_that_what_it_read_is_gone;
        listoffsets_stale_hw: ListoffsetsStaleHw breaks consuming::the_end_is_not_told_before_it_is_sure;
        an_older_epoch_not_fenced: FetchEpochNotFenced
            breaks consuming::who_believes_in_an_older_leader_is_fenced;
        a_newer_epoch_not_refused: FetchEpochNotFenced
            breaks consuming::a_leader_that_has_been_replaced_answers_nobody_who_knows;
        truncate_to_local_hw: TruncateToLocalHw
            breaks replicating::a_leader_tells_where_a_followers_log_parts_from_its_own;
        epoch_zero_lost_on_recovery: EpochZeroLostOnRecovery
            breaks replicating::the_logs_of_all_replicas_are_the_same;
        hw_ignores_pending_isr: HwIgnoresPendingIsr
            breaks replicating::who_is_about_to_join_the_isr_is_waited_for;
        epoch_start_not_recorded_on_election: EpochStartNotRecordedOnElection
            breaks replicating::an_epoch_ends_where_the_next_began;
        fenced_broker_joins_isr: FencedBrokerJoinsIsr
            breaks replicating::who_is_fenced_or_was_born_again_does_not_join_the_isr;
        stale_broker_epoch_joins_isr: StaleBrokerEpochJoinsIsr
            breaks replicating::who_is_fenced_or_was_born_again_does_not_join_the_isr;
        unclean_election_any_replica: UncleanElectionAnyReplica
            breaks electing::a_replica_that_is_not_in_sync_leads_only_if_it_may;
        last_replica_standing: LastReplicaStanding
            breaks electing::an_eligible_replica_leads_when_nobody_is_in_sync;
        no_check_quorum: NoCheckQuorum breaks agreeing::a_leader_without_a_majority_resigns;
    }
}
