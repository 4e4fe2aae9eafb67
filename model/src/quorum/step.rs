//! What is one step, and what has to wait for the disk?

use alloc::string::ToString;

use super::{Context, Inbound, Quorum, Stage, peers::What, role::Role};
use crate::{
    disk::{DiskError, FileName},
    event::Event,
    machine::{Caller, Halt, Outgoing},
    protocol::{Request, Response},
    time::{Instant, Now, earliest},
    units::{LeaderEpoch, NodeId},
};

impl Quorum {
    /// Takes inputs, does what is due and asks what there is to ask, until the disk is to be waited for or
    /// nothing is left.
    pub(super) fn pump(&mut self, now: Now, cx: &mut Context<'_>) {
        if !self.is_loaded() {
            return;
        }
        while self.is_durable(cx) {
            self.release(cx);
            if let Some(inbound) = self.inbox.pop_front() {
                self.take(now, inbound, cx);
            } else if !self.expire(now, cx) && !self.act(now, cx) && self.held.is_empty() {
                break;
            }
        }
        self.deliver(cx);
        self.deadline = self.next_deadline();
    }

    /// Whether everything decided so far is on the platter; else it is on its way there.
    fn is_durable(&mut self, cx: &mut Context<'_>) -> bool {
        self.state_file.write(self.election, &mut cx.effects.disk);
        !self.waits_for_disk()
    }

    fn waits_for_disk(&self) -> bool {
        self.state_file.is_busy() || self.flushing.is_some() || self.snapshots.is_installing()
    }

    fn take(&mut self, now: Now, inbound: Inbound, cx: &mut Context<'_>) {
        match inbound {
            Inbound::Request { caller, request } => self.take_request(now, caller, &request, cx),
            Inbound::Response { from, correlation, response } => {
                if let Some(what) = self.peers.answered(from, correlation) {
                    self.take_response(now, from, what, response, cx);
                }
            }
        }
    }

    fn take_request(&mut self, now: Now, caller: Caller, request: &Request, cx: &mut Context<'_>) {
        let response = match request {
            Request::Fetch(request) => return self.on_fetch(now, caller, request, cx),
            Request::Vote(request) => Response::Vote(self.on_vote(now, request)),
            Request::BeginQuorumEpoch(request) => Response::BeginQuorumEpoch(self.on_begin(now, request)),
            Request::EndQuorumEpoch(request) => Response::EndQuorumEpoch(self.on_end(now, request)),
            Request::DescribeQuorum(_) => Response::DescribeQuorum(self.describe(now)),
            Request::FetchSnapshot(request) => Response::FetchSnapshot(self.on_fetch_snapshot(now, request)),
            _ => return,
        };
        self.answer(caller, response);
    }

    fn take_response(
        &mut self,
        now: Now,
        from: NodeId,
        what: What,
        response: Response,
        cx: &mut Context<'_>,
    ) {
        match response {
            Response::Fetch(response) if what == What::Fetch => self.on_fetched(now, from, response, cx),
            Response::FetchSnapshot(response) if what == What::FetchSnapshot => {
                self.on_snapshot_fetched(now, from, &response, cx);
            }
            Response::Vote(response) => self.on_vote_response(now, from, what, &response),
            Response::BeginQuorumEpoch(r) if what == What::Begin => {
                self.settles(now, r.error, r.epoch, r.leader);
            }
            Response::EndQuorumEpoch(r) if what == What::End => {
                let settled = self.settles(now, r.error, r.epoch, r.leader);
                if let Role::Resigned(resigned) = &mut self.role
                    && !settled
                {
                    resigned.unacknowledged.remove(from);
                }
            }
            _ => self.peers.rest(from, now.monotonic + self.config.retry_backoff),
        }
    }

    /// Does one thing whose time has come; says whether there was one.
    fn expire(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        let rest = now.monotonic + self.config.retry_backoff;
        if let Some((peer, channel)) = self.peers.expire(now.monotonic, rest) {
            // As Kafka's network client, which closes a connection on which a request has timed out.
            cx.effects.mail.push(Outgoing::Disconnect { peer, channel });
            return true;
        }
        self.expire_leader(now) || self.expire_election(now) || self.expire_readers(now, cx)
    }

    /// Does what its role does by itself; says whether it is to be asked again.
    fn act(&mut self, now: Now, cx: &mut Context<'_>) -> bool {
        if self.close_ballot(now) {
            return true;
        }
        self.canvass(now, cx);
        self.adopt_high_watermark(cx);
        self.fetch(now, cx);
        self.lead(now, cx)
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.waits_for_disk() {
            return self.log.deadline();
        }
        let role = earliest(self.leader_deadline(), self.election_deadline());
        let others = earliest(self.peers.deadline(), self.readers.deadline());
        earliest(earliest(role, others), self.log.deadline())
    }

    /// Asks a voter.
    pub(super) fn ask(&mut self, now: Now, to: NodeId, what: What, request: Request, cx: &mut Context<'_>) {
        let correlation = cx.next_correlation();
        self.peers.asked(to, what, correlation, now.monotonic + self.config.request_timeout);
        cx.effects.request(to, what.channel(), correlation, request);
    }

    /// Answers once everything that was decided is durable.
    pub(super) fn answer(&mut self, caller: Caller, response: Response) {
        self.held.replies.push((caller, response));
    }

    /// Notes an event once everything that was decided is durable.
    pub(super) fn tell(&mut self, event: Event) {
        self.held.events.push(event);
    }

    fn release(&mut self, cx: &mut Context<'_>) {
        cx.effects.events.append(&mut self.held.events);
        for (caller, response) in self.held.replies.drain(..) {
            cx.effects.reply(caller, response);
        }
    }

    /// Brings everything appended to the platter; until it is there, no input is taken.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        if self.durable_end() < self.log.end() {
            self.log.flush(&mut cx.effects.disk);
            self.flushing = Some(self.log.end());
        }
    }

    /// The epoch of the last record, or of the one that a snapshot ends with.
    pub(super) fn last_epoch(&self) -> LeaderEpoch {
        let snapshot = self.snapshots.latest_id().map(|id| id.epoch);
        self.log.last_epoch().or(snapshot).unwrap_or_default()
    }

    pub(super) fn fail(&mut self, file: FileName, error: DiskError, cx: &mut Context<'_>) {
        self.stage = Stage::Failed;
        self.deadline = None;
        cx.effects.note(Event::DiskFailed { file: file.to_string(), error });
        cx.effects.note(Event::Halted { why: Halt::DiskFailed });
        cx.effects.halt = Some(Halt::DiskFailed);
    }
}
