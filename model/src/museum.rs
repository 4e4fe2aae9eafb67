//! Which historical bugs can be switched back on?
//!
//! Each is one branch at the place where Kafka had it, `if self.museum.has(Bug::TruncateToLocalHw)`, next to
//! a comment with the ticket. Builds without the `museum` feature have none of them: `has` is then `false`
//! for the compiler, too. The slugs are those by which `trial run --plant` knows them.

macro_rules! museum {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $ticket:literal, $check:literal, $breaks:literal;)*) => {
        /// A bug that Kafka once had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Bug { $($(#[$doc])* $name,)* }

        impl Bug {
            /// All of them, in the order of the catalogue.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];

            /// The name it is planted by.
            pub const fn slug(self) -> &'static str {
                match self { $(Bug::$name => $slug,)* }
            }

            /// The ticket or KIP.
            pub const fn ticket(self) -> &'static str {
                match self { $(Bug::$name => $ticket,)* }
            }

            /// The check that catches it.
            pub const fn caught_by(self) -> &'static str {
                match self { $(Bug::$name => $check,)* }
            }

            /// What it breaks, in a sentence.
            pub const fn breaks(self) -> &'static str {
                match self { $(Bug::$name => $breaks,)* }
            }

            /// The bug of a name.
            pub fn from_slug(slug: &str) -> Option<Bug> {
                Bug::ALL.iter().copied().find(|bug| bug.slug() == slug)
            }
        }
    };
}

museum! {
    /// KIP-101: a follower cuts its log to its own high watermark, which lags, instead of asking the leader.
    TruncateToLocalHw = "truncate-to-local-hw", "KIP-101", "no_truncation_below_high_watermark",
        "a follower truncates records that are committed";
    /// KIP-279: the leader names no epoch with the offset it answers, and a follower cuts its log only once.
    EpochLookupSingleRound = "epoch-lookup-single-round", "KIP-279", "replicas_agree",
        "a follower keeps records that its leader never had";
    /// KIP-320: nobody compares the reader's leader epoch with the server's.
    FetchEpochNotFenced = "fetch-epoch-not-fenced", "KIP-320", "isr_members_agree",
        "a deposed leader counts and answers followers of a newer one";
    /// KIP-320: a new leader counts the positions that followers had in an earlier epoch.
    HwCountsPositionsFromOldEpoch = "hw-counts-positions-from-old-epoch", "KIP-320", "isr_members_agree",
        "the high watermark passes records that a follower has cut off since";
    /// KAFKA-7128: a follower joins the ISR at the new leader's high watermark, which lags.
    IsrExpandBeforeEpochStart = "isr-expand-before-epoch-start", "KAFKA-7128", "candidates_have_all_committed",
        "a replica without committed records becomes electable";
    /// KAFKA-13141: a fetch that is answered with a divergence still moves the follower's position.
    DivergingFetchMovesFollowerPosition = "diverging-fetch-moves-follower-position", "KAFKA-13141",
        "candidates_have_all_committed", "records count as replicated that the follower is about to cut off";
    /// KIP-207: a new leader tells its own high watermark as the log's end before it is sure of it.
    ListoffsetsStaleHw = "listoffsets-stale-hw", "KIP-207", "end_offsets_never_decrease",
        "the end of a log goes back after a failover";
    /// KIP-497: only the agreed ISR counts for the high watermark, not the one that is proposed.
    HwIgnoresPendingIsr = "hw-ignores-pending-isr", "KIP-497", "isr_members_agree",
        "a replica that is behind may be elected";
    /// KAFKA-13916: a leader takes fenced and leaving brokers into the ISR.
    FencedBrokerJoinsIsr = "fenced-broker-joins-isr", "KAFKA-13916", "controller_state_is_valid",
        "a fenced broker is in sync, and writes wait for it";
    /// KAFKA-14010: an ISR proposal that is to be tried again counts as a repetition of itself.
    AlterpartitionRetryLost = "alterpartition-retry-lost", "KAFKA-14010", "isr_is_full",
        "the ISR never changes again";
    /// KAFKA-1555: acks=all asks for the ISR, however small it is.
    AcksAllWithoutMinIsr = "acks-all-without-min-isr", "KAFKA-1555", "acks_all_needs_min_insync",
        "one failure loses acknowledged records";
    /// KAFKA-10471: the mark of a clean shutdown stays until every log is loaded.
    CleanMarkerSurvivesCrashInLoad = "clean-marker-survives-crash-in-load", "KAFKA-10471",
        "recovery_keeps_flushed", "a torn tail is taken for whole after a second crash";
    /// KAFKA-9807: how far a read may go is looked up once to decide and once more to cut.
    ReadLimitComputedTwice = "read-limit-computed-twice", "KAFKA-9807", "reads_stay_in_bound",
        "a consumer reads records above the high watermark";
    /// KAFKA-7738: a client goes back to a former leader when a broker that lags tells of an older epoch.
    MetadataAcceptsOlderEpoch = "metadata-accepts-older-epoch", "KAFKA-7738", "metadata_never_goes_back",
        "a client talks to a leader that has been replaced";
    /// KAFKA-14034: a failed batch has the later ones renumbered while earlier ones are still being retried.
    RenumberWithRetriesInFlight = "renumber-with-retries-in-flight", "KAFKA-14034", "no_duplicates",
        "a batch that was appended already is appended again under a new number";
    /// librdkafka 1.9.0: the sequences of a partition are forgotten when metadata does not know its topic.
    SequenceStateDroppedWithTopic = "sequence-state-dropped-with-topic", "librdkafka v1.9.0", "acked_records_are_readable",
        "new records are taken for old ones and acknowledged without being appended";
    /// KAFKA-14397: a batch that was sent and then timed out counts as never written.
    SequenceResetOnDeliveryTimeout = "sequence-reset-on-delivery-timeout", "KAFKA-14397", "acked_records_are_readable",
        "the next batch gets the number of one that is in the log, and is taken for it";
    /// librdkafka #4953: a raised epoch renumbers the batches of all partitions, not only of the one with a gap.
    EpochBumpRewritesOtherPartitions = "epoch-bump-rewrites-other-partitions", "librdkafka #4953", "no_duplicates",
        "batches that were appended already are appended again under a new number";
    /// KAFKA-12257: a topic that was created again has its epochs compared with those of the former one.
    TopicRecreateEpochCompare = "topic-recreate-epoch-compare", "KAFKA-12257", "clients_recover",
        "a client never learns who leads the new topic";
    /// KIP-320: a consumer goes on at its offset after a leader change without asking whether the log was cut.
    NoTruncationCheckAfterLeaderChange = "no-truncation-check-after-leader-change", "KIP-320", "no_skipped_records",
        "a consumer reads on in the middle of records that are not those it had read up to";
    /// KAFKA-1028: any live replica is elected when no one in sync is alive, and counts as complete.
    UncleanElectionAnyReplica = "unclean-election-any-replica", "KAFKA-1028", "candidates_have_all_committed",
        "records that were acknowledged are not on the new leader";
    /// KIP-966: the last member never leaves the ISR, and leads again even if it has lost the end of its log.
    LastReplicaStanding = "last-replica-standing", "KIP-966", "controller_state_is_valid",
        "a replica that lost its records makes the others cut theirs";
    /// KIP-903: a proposed ISR names brokers without the registrations that the leader knows them by.
    StaleBrokerEpochJoinsIsr = "stale-broker-epoch-joins-isr", "KIP-903", "candidates_have_all_committed",
        "a broker is in sync by what it had before it lost its disk";
    /// KAFKA-17333: a controller decides before it has replayed what was committed before its epoch.
    ControllerActiveBeforeReplay = "controller-active-before-replay", "KAFKA-17333", "controller_state_is_valid",
        "decisions start from a state that is old, and undo newer ones";
    /// KAFKA-13959: a broker is unfenced only once it has applied metadata up to the very end of the log.
    UnfenceNeedsLogEnd = "unfence-needs-log-end", "KAFKA-13959", "brokers_are_unfenced",
        "a restarted broker stays fenced while records keep coming";
    /// KAFKA-15552: the log says which producer ids were given last where it should say which come next.
    ProducerIdBlockServedTwice = "producer-id-block-served-twice", "KAFKA-15552", "producer_ids_are_unique",
        "after a failover two producers share an id, and one's records count as the other's duplicates";
    /// KAFKA-14154: a proposal that agrees with the controller's image is confirmed, whatever its version.
    AlterPartitionIdempotentCheck = "alterpartition-idempotent-check", "KAFKA-14154", "maximal_isr_covers_isr",
        "a controller that was replaced confirms an ISR that is not the agreed one";
    /// KAFKA-16952: a broker that registers again, since it heard no answer, counts as restarted.
    ReregisterBumpsBrokerEpoch = "reregister-bumps-broker-epoch", "KAFKA-16952", "brokers_are_unfenced",
        "a live broker is fenced and what it asks under its old epoch is refused";
    /// KAFKA-18106: a restart within the session leaves leaders and ISRs as they were.
    UncleanReregisterNoEpochBump = "unclean-reregister-no-epoch-bump", "KAFKA-18106",
        "epoch_and_offset_name_one_record", "a leader that lost the end of its log goes on in the same epoch";
    /// KAFKA-10527: a voter that led before it was restarted goes on leading in the same epoch.
    LeaderResumesSameEpoch = "leader-resumes-same-epoch", "KAFKA-10527", "quorum_roles_are_valid",
        "records lost with the power are replaced by others of the same epoch and offset";
    /// KAFKA-10661: a voter that led before it was restarted does not remember, and votes for another.
    RestartedLeaderVotesInOwnEpoch = "restarted-leader-votes-in-own-epoch", "KAFKA-10661", "single_controller_per_epoch",
        "an epoch has two leaders";
    /// KAFKA-10533: voters count records for the quorum's high watermark that they have not flushed.
    RaftAckBeforeFlush = "raft-ack-before-flush", "KAFKA-10533", "committed_metadata_is_durable",
        "committed metadata is lost with the power of a majority";
    /// KAFKA-12619: a new quorum leader commits records of former epochs before one of its own.
    HwBeforeOwnEpochRecord = "hw-before-own-epoch-record", "KAFKA-12619", "quorum_high_watermark_is_monotone",
        "a committed record is overwritten by another leader";
    /// KAFKA-15489: a quorum leader from which no majority fetches goes on leading.
    NoCheckQuorum = "no-check-quorum", "KAFKA-15489", "quorum_leader_has_majority",
        "two controllers are active, and brokers stay with the one that can commit nothing";
    /// KAFKA-17067: a member that is not a voter stands for election.
    ObserverBecomesCandidate = "observer-becomes-candidate", "KAFKA-17067", "quorum_roles_are_valid",
        "a broker raises its epoch above that of the controllers and hears nothing from them any more";
    /// KAFKA-15312: a metadata snapshot is put in its place before its bytes are flushed.
    SnapshotFileNotSynced = "snapshot-file-not-synced", "KAFKA-15312", "snapshot_covers_log_start",
        "after a power failure the snapshot is empty, and the log it stood for is gone";
    /// KAFKA-7415: a leader notes the start of its epoch only with the first batch, not at its election.
    EpochStartNotRecordedOnElection = "epoch-start-not-recorded-on-election", "KAFKA-7415", "epoch_cache_matches_log",
        "a follower that asks for the epoch in between truncates to its own high watermark";
    /// KAFKA-9892: a snapshot of producers' sequences is not forced to disk, and a torn one counts as empty.
    ProducerSnapshotNotSynced = "producer-snapshot-not-synced", "KAFKA-9892", "no_duplicates",
        "after a power failure a retried batch is appended again";
    /// KAFKA-6683: a batch counts as its producer's last before it is appended, and a snapshot is taken between.
    ProducerStateMutatedBeforeAppend = "producer-state-mutated-before-append", "KAFKA-6683", "producer_state_matches_log",
        "a retry of a batch that was lost is answered as a duplicate";
    /// KAFKA-10432: recovery passes over batches of epoch zero when it makes the epochs anew.
    EpochZeroLostOnRecovery = "epoch-zero-lost-on-recovery", "KAFKA-10432", "epoch_cache_matches_log",
        "a replica that lost its epochs does not notice that its log has parted from the leader's";
    /// KAFKA-14292: the metadata that others must have before a broker may leave is that of its last heartbeat.
    ControlledShutdownOffsetMoves = "controlled-shutdown-offset-moves", "KAFKA-14292", "shutdown_completes",
        "a broker that leaves waits for ever newer metadata to be everywhere";
    /// KAFKA-13104: a controller renounces after an error and does not tell the quorum, which it leads on.
    ControllerRenouncesRaftKeeps = "controller-renounces-raft-keeps", "KAFKA-13104", "controller_is_active",
        "the quorum has a leader, and nobody decides";
    /// KAFKA-14618: the id of a metadata snapshot names the offset before the one that it reaches to.
    SnapshotIdOffByOne = "snapshot-id-off-by-one", "KAFKA-14618", "metadata_images_agree",
        "whoever begins from a snapshot has another image than the others at that offset";
    /// KAFKA-12686: the mark of an ISR proposal in flight is gone before its answer has come.
    AlterpartitionInflightCleared = "alterpartition-inflight-cleared", "KAFKA-12686", "one_isr_proposal_in_flight",
        "a leader asks for a second ISR before the first is answered";
    /// KAFKA-7866: a batch is written, its index is not, and the log's end stays where it was.
    DuplicateOffsetAfterIndexFailure = "duplicate-offset-after-index-failure", "KAFKA-7866", "log_offsets_increase",
        "two batches stand at one offset";
    /// Bufstream 0.1.0 (Jepsen): a write that was appended before is answered with offset zero.
    SpuriousZeroOffset = "spurious-zero-offset", "Bufstream 0.1.0", "acked_offset_holds_the_record",
        "a producer is told an offset at which another record stands";
    /// KAFKA-19012: a batch's buffer is used for another partition's while it is still being sent.
    BufferReusedWhileInFlight = "buffer-reused-while-in-flight", "KAFKA-19012", "no_phantom_records",
        "records of one partition turn up in another";
    /// librdkafka #4686: a consumer that resumes goes on where its last fetch began.
    ResumeAtStaleFetchPosition = "resume-at-stale-fetch-position", "librdkafka #4686", "reads_never_go_back",
        "records are handed out a second time after a pause";
    /// KAFKA-3410: a follower whose log is longer than its leader's stops its process.
    LogTruncationNotAllowed = "log-truncation-not-allowed", "KAFKA-3410", "no_panics",
        "a broker that only had to cut its log halts";
    /// KAFKA-9338: a fetch session keeps no leader epoch, so only its first fetch is compared.
    FetchSessionDropsEpoch = "fetch-session-drops-epoch", "KAFKA-9338", "no_truncation_below_high_watermark",
        "a deposed leader counts and answers followers of a newer one, as long as their session lasts";
    /// KAFKA-3197: with one request in flight the next batch of a partition goes to its new leader while the one
    /// before still waits for the former.
    ReorderWithoutIdempotence = "reorder-without-idempotence", "KAFKA-3197", "sends_keep_their_order",
        "records stand in another order than they were sent in";
    /// KAFKA-13207: a fetcher cuts a log by an answer to what it asked before the log was taken away from it.
    TruncateAfterPartitionMoved = "truncate-after-partition-moved", "KAFKA-13207", "no_truncation_below_high_watermark",
        "a new leader cuts its own log";
    /// KAFKA-3968: a new segment is flushed, but not the directory that names it.
    DirEntryNotSynced = "dir-entry-not-synced", "KAFKA-3968", "recovery_keeps_flushed",
        "a segment that was flushed is gone with the power";
    /// KAFKA-7164: a follower that keeps its leader through a new epoch does not compare its log again.
    SkipTruncateSameLeader = "skip-truncate-same-leader", "KAFKA-7164", "candidates_have_all_committed",
        "a follower keeps what its leader has cut off meanwhile";
    /// KAFKA-7786: what a leader said about a former epoch stops a follower in the present one.
    LateEpochLookupResponseKillsFetcher = "late-epoch-lookup-response-kills-fetcher", "KAFKA-7786", "isr_is_full",
        "a follower fetches no more until the next election";
    /// KAFKA-6975: an empty follower refuses a batch that begins before the start of the log.
    LogStartMidBatchFetch = "log-start-mid-batch-fetch", "KAFKA-6975", "isr_is_full",
        "a follower that begins where records were deleted inside a batch never gets any further";
    /// KAFKA-15221: whether a follower may join is judged by the position of one life and the epoch of the next.
    IsrEligibilityTwoReads = "isr-eligibility-two-reads", "KAFKA-15221", "candidates_have_all_committed",
        "a broker is in sync by what it had before it lost its disk";
    /// KAFKA-12367: a leader that hears of another ISR by metadata keeps the old version number.
    PartitionEpochNotPropagated = "partition-epoch-not-propagated", "KAFKA-12367", "isr_is_full",
        "everything the leader proposes is refused as old";
    /// KAFKA-13790: whatever changes of a partition makes its leader begin anew, in the same epoch.
    PartitionUpdateResetsEpochState = "partition-update-resets-epoch-state", "KAFKA-13790", "leader_has_all_committed",
        "the epoch's start moves to the log's end, and what was known of the followers is gone";
    /// KAFKA-13858: a broker that is about to shut down does not do what metadata says of its partitions.
    LeaderServesThroughShutdown = "leader-serves-through-shutdown", "KAFKA-13858", "leaders_step_down",
        "a broker goes on leading what another leads already, until it ends";
    /// KAFKA-10101: what recovery has read back counts as flushed, and is not.
    RecoveryPointAdvancedUnflushed = "recovery-point-advanced-unflushed", "KAFKA-10101", "recovery_keeps_flushed",
        "a power loss after a crash takes what the log was said to hold for good";
    /// KAFKA-5249: recovery files what producers had written under the offset of the segment after.
    ProducerSnapshotWrongOffset = "producer-snapshot-wrong-offset", "KAFKA-5249", "producer_state_matches_log",
        "a later start skips a segment when it counts the producers' sequences";
    /// KAFKA-9196: after a roll the place of the high watermark is still looked up in the segment before.
    HwMetadataStaleAfterRoll = "hw-metadata-stale-after-roll", "KAFKA-9196", "reads_stay_in_bound",
        "a consumer reads records above the high watermark";
    /// KAFKA-14238: the metadata log is cleaned by its size like any other, whatever the snapshots hold.
    LogCleanedPastSnapshot = "log-cleaned-past-snapshot", "KAFKA-14238", "snapshot_covers_log_start",
        "records are gone that no snapshot holds";
    /// KAFKA-8483: when the numbering starts again, the batches get their numbers in the order of a heap.
    SequenceReassignedInHeapOrder = "sequence-reassigned-in-heap-order", "KAFKA-8483", "sends_keep_their_order",
        "records stand in another order than they were sent in, although the producer is idempotent";
    /// KAFKA-7190: a producer is forgotten with the last of its records.
    ProducerExpiredByDataTimestamp = "producer-expired-by-data-timestamp", "KAFKA-7190", "no_duplicates",
        "a retried batch whose first copy was deleted is appended again";
    /// sarama #3354: batches that gather while one is retried are sent without numbers.
    BufferedMessagesUnsequenced = "buffered-messages-unsequenced", "sarama #3354", "no_duplicates",
        "a batch without a number is appended as often as it is sent";

    /// KAFKA-2555: a coordinator takes a commit from anybody.
    OffsetCommitGenerationUnchecked = "offset-commit-generation-unchecked", "KAFKA-2555", "commits_are_fenced",
        "a member that is none any more takes back how far its group has come";
    /// KAFKA-10284: the new id of a static member is not written down.
    StaticRejoinNotPersisted = "static-rejoin-not-persisted", "KAFKA-10284", "fenced_members_were_replaced",
        "after a failover a static member that had been restarted is fenced by its own former process";
    /// KAFKA-7909: a member that was given an id and did not come back is waited for.
    PendingMemberBlocksRebalance = "pending-member-blocks-rebalance", "KAFKA-7909", "groups_become_stable",
        "a group never gets to its next generation";
    /// KAFKA-5600: a coordinator that reads its log in pieces keeps the first of what they say of a group.
    CoordinatorLoadInstallsPerBuffer = "coordinator-load-installs-per-buffer", "KAFKA-5600", "coordinator_state_matches_log",
        "after a failover a group is where it was long ago";
    /// KAFKA-15468: a change of the ISR has an active coordinator read its log anew.
    ResourceManagerReloadOnIsrChange = "resource-manager-reload-on-isr-change", "KAFKA-15468", "committed_offsets_are_kept",
        "a coordinator forgets what was committed in its own epoch";
    /// Jepsen's note on Bufstream 0.1.0: a consumer commits what its application has only just been given.
    AutocommitIncludesCurrentPoll = "autocommit-includes-current-poll", "Jepsen, Bufstream 0.1.0", "commits_follow_processing",
        "records that nobody has worked on count as done";
    /// KAFKA-10614: what is to be done when the leadership of a groups' partition is lost is done late, when it is won
    /// again.
    CoordinatorLoadUnloadReordered = "coordinator-load-unload-reordered", "KAFKA-10614", "coordinators_are_there",
        "a broker lets go of groups that it has only just taken over";
    /// KAFKA-9801: a static member that is back while the others are told their shares joins without a rebalance.
    StaticJoinDuringCompletingGetsEmpty = "static-join-during-completing-gets-empty", "KAFKA-9801", "groups_become_stable",
        "a member is given nothing, and partitions that were meant for it have no owner";
    /// KAFKA-8069: an offset without a time at which it expires is loaded as one that expired long ago.
    DefaultExpireTimestampLoadedAsReal = "default-expire-timestamp-loaded-as-real", "KAFKA-8069", "coordinator_state_matches_log",
        "after a failover the committed offsets of a group are thrown away";
    /// KAFKA-12984: a cooperative member that was thrown out keeps what it owned, and says so when it joins again.
    CooperativeStaleOwnedPartitions = "cooperative-stale-owned-partitions", "KAFKA-12984", "one_owner_per_partition",
        "a member reads partitions that were given to others while it was out";
    /// KAFKA-9140: a member that is fenced when its share has come waits for the answer it has had already.
    RejoinNotRetried = "rejoin-not-retried", "KAFKA-9140", "groups_become_stable",
        "a member never joins again";
    /// librdkafka #2782: what a member stored of a partition is not dropped with it, and committed when it is back.
    StoredOffsetSurvivesRevoke = "stored-offset-survives-revoke", "librdkafka #2782", "commits_follow_processing",
        "a group goes on where one of its members had been long ago, done with it or not";
    /// KAFKA-10793: a search for the coordinator that came to nothing counts as still on.
    CoordinatorSearchNotCleared = "coordinator-search-not-cleared", "KAFKA-10793", "groups_become_stable",
        "a member never finds its coordinator again";
    /// KAFKA-6593: who waits for a commit is not told that the coordinator is gone.
    CommitSyncBlocksOnDisconnect = "commit-sync-blocks-on-disconnect", "KAFKA-6593", "groups_become_stable",
        "an application waits for ever, and its member is thrown out";
    /// KAFKA-2978: records that came before a rebalance, and were dropped in it, still keep a partition from being
    /// fetched.
    FetchedPositionOutlivesRebalance = "fetched-position-outlives-rebalance", "KAFKA-2978", "consumers_reach_the_end",
        "a member owns a partition and reads nothing of it";
    /// KAFKA-2342: the answer to a fetch from before a rebalance moves the position that was given after it.
    FetchAcrossRebalanceMovesPosition = "fetch-across-rebalance-moves-position", "KAFKA-2342", "reads_never_go_back",
        "a member begins where it had been, and not where its group is";
    /// KAFKA-20634: a coordinator that is none any more takes its follower's high watermark for its own.
    CoordinatorTrustsFollowerHw = "coordinator-trusts-follower-hw", "KAFKA-20634", "committed_offsets_never_go_back",
        "a commit is acknowledged although it was cut off";
    /// librdkafka #5586: who asks the wrong broker how far its group is does not ask the right one.
    OffsetFetchNotRetried = "offset-fetch-not-retried", "librdkafka #5586", "consumers_reach_the_end",
        "a member owns a partition and never begins to read it";
    /// KAFKA-16371: a commit of which a part is refused leaves the rest pending for ever.
    PendingCommitLeak = "pending-commit-leak", "KAFKA-16371", "consumers_reach_the_end",
        "nobody is told any more how far a group is in a partition";
    /// KAFKA-14196: a member reads on while it commits for the last time before it gives its partitions up.
    FetchContinuesDuringRevokeCommit = "fetch-continues-during-revoke-commit", "KAFKA-14196", "groups_begin_where_they_committed",
        "records are worked on that the next owner is given again";

    /// KAFKA-13194: where no transaction is open, the cleaner goes past the high watermark.
    CompactionPastHw = "compaction-past-hw", "KAFKA-13194", "compaction_keeps_newest",
        "a committed record is cleaned away for one that is cut off";
    /// KAFKA-4529: how long a tombstone stays is counted from the time that it bears, and not from its first cleaning.
    TombstoneDroppedEarly = "tombstone-dropped-early", "KAFKA-4529", "compaction_keeps_newest",
        "who reads slowly never hears that a key was deleted";
    /// KAFKA-17076: a cleaning takes the last batch of what it cleans, too.
    LeoLostByCompaction = "leo-lost-by-compaction", "KAFKA-17076", "compaction_keeps_newest",
        "a log ends earlier after a restart, and gives its offsets again";
    /// KAFKA-5490: a cleaning takes the last batch of a producer, too.
    CleanerDropsProducerTail = "cleaner-drops-producer-tail", "KAFKA-5490", "producer_state_matches_log",
        "what a producer sends again after a restart is taken for new";
    /// KAFKA-12890: nobody has to ask for its share within any time, as long as it is heard of.
    NoSyncTimeout = "no-sync-timeout", "KAFKA-12890", "rebalances_are_bounded",
        "a group waits for ever for a leader that does not say who is to own what";
    /// KAFKA-16147: where a partition is to be given up and then is not, its owner is forgotten with what was to be
    /// given up.
    PartitionEpochLost = "partition-epoch-lost", "KAFKA-16147", "partition_epochs_are_valid",
        "a partition looks free that somebody owns";
    /// KAFKA-16249: in a newer epoch nobody looks at what a member says that it has given up.
    RevocationAckMissed = "revocation-ack-missed", "KAFKA-16249", "groups_become_stable",
        "a group waits for ever for what was given up long ago";
    /// KAFKA-17306: who reads a group's log believes that a member is named before it is struck off.
    ReplayAssumesRecordOrder = "replay-assumes-record-order", "KAFKA-17306", "coordinators_are_there",
        "a coordinator cannot read its log after a cleaning";

    // What follows no ticket is about: mutants, each for a check that no historical bug breaks first.
    /// A mutant: a broker that led goes on when it hears that nobody leads.
    LeadsWhileNobodyDoes = "leads-while-nobody-does", "none: a mutant", "single_leader_per_epoch",
        "a broker leads in an epoch for which nobody was elected";
    /// A mutant: a broker that registers again after a restart gets an epoch below the one that it had.
    BrokerEpochGoesBack = "broker-epoch-goes-back", "none: a mutant", "epochs_increase",
        "what a broker's former life asked for passes for what its new life asks";
    /// A mutant: a follower takes the end of its own log for the high watermark.
    FollowerHwIsLogEnd = "follower-hw-is-log-end", "none: a mutant", "follower_high_watermark_is_shared",
        "a follower calls committed what only it and its leader may have";
    /// A mutant: a leader's high watermark follows the slowest, also back.
    HwGoesBack = "hw-goes-back", "none: a mutant", "high_watermark_in_bounds",
        "what was committed is so no more when a replica that lags is about to join";
    /// A mutant: an observer waits for the answer to a fetch whose connection is gone.
    FetchLostWithConnection = "fetch-lost-with-connection", "none: a mutant", "metadata_converges",
        "a broker hears of no metadata any more and notices nothing";
    /// A mutant: a voter refuses to cut its log right at its high watermark, and not only below.
    TruncationRefusedAtHw = "truncation-refused-at-hw", "none: a mutant", "voters_catch_up",
        "a deposed controller never takes part again";
    /// A mutant: a broker that is unfenced gets no leaderships that nobody has.
    UnfenceElectsNobody = "unfence-elects-nobody", "none: a mutant", "partitions_have_leaders",
        "a partition stays without a leader although a replica is back";
    /// A mutant: a consumer fetches only the first of the partitions that a broker leads.
    FirstPartitionOnly = "first-partition-only", "none: a mutant", "consumers_reach_the_end",
        "the other partitions are never read";
    /// A mutant: more than `min.insync.replicas` are asked for.
    MinIsrOffByOne = "min-isr-off-by-one", "none: a mutant", "writes_complete",
        "a partition with just enough replicas in sync takes no acks=all write";
    /// A mutant: every restart counts as one after a clean shutdown.
    UncleanRestartCountsAsClean = "unclean-restart-counts-as-clean", "none: a mutant", "unclean_replica_is_excluded",
        "a replica that lost records stays eligible to lead";
    /// A mutant: the quorum's leader does not compare the epoch of a follower's last record with its own.
    MetadataEpochNotCompared = "metadata-epoch-not-compared", "none: a mutant", "metadata_log_agrees",
        "a voter keeps records that were never committed, and calls them so";
    /// A mutant: a leader appends a batch again that it has appended before (KIP-98).
    RetryAppendedAgain = "retry-appended-again", "none: a mutant", "producer_state_matches_log",
        "a batch that a producer sends again stands in the log twice";
    /// A mutant: where a read of a log ends, recovery takes the batch that it cuts in two for a torn tail.
    ReadEndTakenForTorn = "read-end-taken-for-torn", "none: a mutant", "recovery_keeps_flushed",
        "a log longer than one read loses its end in a restart";
    /// A mutant: what `max.poll.records` leaves of a batch is dropped.
    PollDropsTheRest = "poll-drops-the-rest", "none: a mutant", "no_skipped_records",
        "a consumer passes over records that were fetched";
    /// A mutant: an ISR proposal that is not answered in time counts as never made.
    IsrProposalForgotten = "isr-proposal-forgotten", "none: a mutant", "maximal_isr_covers_isr",
        "a leader does not count a replica that the controller may elect";
    /// A mutant: a coordinator counts generations from the start when it has read its log.
    GenerationForgottenOnLoad = "generation-forgotten-on-load", "none: a mutant", "generations_only_grow",
        "two assignments of a group bear the same generation";
    /// A mutant: what the disk has read for a coordinator is not taken in.
    GroupsReadForgotten = "groups-read-forgotten", "none: a mutant", "coordinators_are_there",
        "after a restart nobody looks after the groups of a partition";
    /// A mutant: every replica of a partition of `__consumer_offsets` looks after its groups.
    FollowerLooksAfterGroups = "follower-looks-after-groups", "none: a mutant", "one_coordinator_per_group",
        "a group has several coordinators";
    /// A mutant: an eager member gives nothing up before it joins.
    EagerKeepsItsPartitions = "eager-keeps-its-partitions", "none: a mutant", "one_owner_per_partition",
        "two members read and commit the same partition";
    /// A mutant: a commit that nobody waits for is tried again, whatever was committed since.
    AsyncCommitRetried = "async-commit-retried", "none: a mutant", "committed_offsets_never_go_back",
        "a group goes back to where it was";
    /// A mutant: a partition that a member is given again it reads from where it had been.
    StalePositionAfterRebalance = "stale-position-after-rebalance", "none: a mutant", "groups_begin_where_they_committed",
        "records are worked on twice, although another member had committed them";
    /// A mutant: a voter gives its vote only to one that has more than itself.
    VoteNeedsLongerLog = "vote-needs-longer-log", "none: a mutant", "quorum_elects_leader",
        "voters that are level elect nobody";
    /// A mutant: a member that waits for what others own is said to have all that it is to have.
    WaitingCountsAsStable = "waiting-counts-as-stable", "none: a mutant", "stable_groups_are_reconciled",
        "a member is never given what it waited for";
}

/// The bugs that are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Museum(u128);

impl Museum {
    /// No bug at all.
    pub const CLOSED: Museum = Museum(0);

    /// With `bug` switched on, too.
    #[must_use]
    pub const fn with(self, bug: Bug) -> Museum {
        Museum(self.0 | 1 << bug as u8)
    }

    /// Whether `bug` is switched on. Always `false` in builds without the museum.
    #[inline]
    pub const fn has(self, bug: Bug) -> bool {
        cfg!(feature = "museum") && self.0 & 1 << bug as u8 != 0
    }

    /// The bugs that are switched on.
    pub fn bugs(self) -> impl Iterator<Item = Bug> {
        Bug::ALL.iter().copied().filter(move |bug| self.has(*bug))
    }
}
