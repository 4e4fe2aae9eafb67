//! Which promises can a scenario name?

/// A promise that a check watches.
#[derive(Clone, Copy, Debug)]
pub struct CheckEntry {
    /// Its readable name.
    pub name: &'static str,
    /// Its code in the catalogue of properties.
    pub code: &'static str,
}

macro_rules! checks {
    ($($name:literal = $code:literal,)*) => {
        /// Every check, in the order of the catalogue.
        pub const CHECKS: &[CheckEntry] = &[$(CheckEntry { name: $name, code: $code },)*];
    };
}

checks! {
    "leader_has_all_committed" = "WB-LC",
    "candidates_have_all_committed" = "WB-LCC",
    "committed_records_exist" = "WB-NoLoss",
    "maximal_isr_covers_isr" = "WB-RQS",
    "isr_members_agree" = "WB-StrongIsr",
    "replicas_agree" = "WB-LM",
    "epoch_and_offset_name_one_record" = "WB-UniqueEO",
    "single_leader_per_epoch" = "WB-OneLeader",
    "acks_all_needs_min_insync" = "WB-MinIsr",
    "epoch_cache_matches_log" = "WB-EpochCache",
    "high_watermark_in_bounds" = "WB-HW",
    "follower_high_watermark_is_shared" = "WB-HWLM",
    "no_truncation_below_high_watermark" = "WB-NoTruncBelowHW",
    "unclean_replica_is_excluded" = "WB-UncleanExcl",
    "one_isr_proposal_in_flight" = "WB-PendingAP",
    "controller_state_is_valid" = "WB-Controller",
    "recovery_keeps_flushed" = "WB-Recovery",
    "log_offsets_increase" = "WB-LogShape",
    "reads_stay_in_bound" = "WB-ReadBound",
    "producer_state_matches_log" = "WB-Producer",
    "producer_ids_are_unique" = "WB-PidUnique",
    "metadata_never_goes_back" = "WB-MetaMono",
    "metadata_images_agree" = "WB-MetaImage",
    "epochs_increase" = "WB-EpochMono",
    "single_controller_per_epoch" = "WB-Raft-ES",
    "metadata_log_agrees" = "WB-Raft-LM",
    "quorum_leader_has_all_committed" = "WB-Raft-LC",
    "quorum_high_watermark_is_monotone" = "WB-Raft-HW",
    "committed_metadata_is_durable" = "WB-Raft-Durability",
    "quorum_roles_are_valid" = "WB-Raft-Roles",
    "quorum_leader_has_majority" = "WB-Raft-Lease",
    "snapshot_covers_log_start" = "WB-RaftSnapshot",
    "acked_records_are_readable" = "BB-lost",
    "one_value_per_offset" = "BB-inconsistent",
    "no_duplicates" = "BB-dup",
    "acked_offset_holds_the_record" = "BB-offset-dup",
    "sends_keep_their_order" = "BB-nmsend",
    "no_skipped_records" = "BB-poll-skip",
    "reads_never_go_back" = "BB-nonmono",
    "acked_records_are_read" = "BB-unseen",
    "end_offsets_never_decrease" = "BB-endoffset",
    "no_phantom_records" = "BB-phantom",
    "partitions_have_leaders" = "L-leader",
    "controller_is_active" = "L-controller",
    "quorum_elects_leader" = "L-raft-leader",
    "voters_catch_up" = "L-raft-voter",
    "metadata_converges" = "L-meta",
    "brokers_are_unfenced" = "L-unfence",
    "shutdown_completes" = "L-shutdown",
    "isr_is_full" = "L-isr",
    "writes_complete" = "L-write",
    "writes_are_available" = "L-avail",
    "consumers_reach_the_end" = "L-consume",
    "clients_recover" = "L-client",
    "no_panics" = "no_panics",
}

/// Whether a check says that something good happens in time, rather than that something bad never does.
pub fn is_liveness(name: &str) -> bool {
    CHECKS.iter().any(|check| check.name == name && check.code.starts_with("L-"))
}
