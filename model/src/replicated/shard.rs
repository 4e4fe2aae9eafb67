//! Which state does a leader decide from, and when may it say so?
//!
//! A leader decides from what it has appended, committed or not, since the next decision must see the one
//! before. What it answers waits until everything it saw is committed. If it is deposed it forgets all that
//! was not, and goes back to the committed state.

use alloc::{collections::VecDeque, vec::Vec};

use super::Replicated;
use crate::units::{Offset, RecordCount};

/// One replicated state with its committed image, the leader's own if it leads, and the answers that wait.
///
/// `W` names who waits for an answer.
#[derive(Clone, Debug)]
pub struct Shard<S: Replicated, W> {
    committed: S,
    applied: Offset,
    leading: Option<Leading<S, W>>,
}

/// What a leader knows beyond what is committed.
#[derive(Clone, Debug)]
struct Leading<S: Replicated, W> {
    state: S,
    appended: Offset,
    parked: VecDeque<Parked<S, W>>,
}

#[derive(Clone, Debug)]
struct Parked<S: Replicated, W> {
    until: Offset,
    waiter: W,
    reply: S::Reply,
}

impl<S: Replicated, W> Shard<S, W> {
    /// A follower's, in `state` by the committed records before `applied`.
    pub fn new(state: S, applied: Offset) -> Shard<S, W> {
        Shard { committed: state, applied, leading: None }
    }

    /// The state by the committed records.
    pub fn committed(&self) -> &S {
        &self.committed
    }

    /// One past the last committed record that was applied.
    pub fn applied(&self) -> Offset {
        self.applied
    }

    /// The state that a leader decides from; `None` if we do not lead.
    pub fn state(&self) -> Option<&S> {
        self.leading.as_ref().map(|leading| &leading.state)
    }

    /// One past the last record that a leader has decided on; `None` if we do not lead.
    pub fn appended(&self) -> Option<Offset> {
        self.leading.as_ref().map(|leading| leading.appended)
    }

    /// Begins to lead a log that ends at `end`, from the committed state.
    pub fn lead(&mut self, end: Offset) {
        self.leading =
            Some(Leading { state: self.committed.clone(), appended: end, parked: VecDeque::new() });
    }

    /// Takes in records that a leader has just appended from offset `base` on. Does nothing if we do not
    /// lead.
    pub fn append(&mut self, base: Offset, records: &[S::Record]) {
        let Some(leading) = &mut self.leading else { return };
        assert!(leading.appended <= base, "a leader's records follow one another");
        let mut at = base;
        for record in records {
            leading.state.apply(at, record);
            at += RecordCount(1);
        }
        leading.appended = at;
    }

    /// Keeps an answer until everything appended so far is committed. Gives it back at once if that is so
    /// already, or if we do not lead.
    pub fn park(&mut self, waiter: W, reply: S::Reply) -> Option<(W, S::Reply)> {
        let applied = self.applied;
        match &mut self.leading {
            Some(leading) if leading.appended > applied => {
                let until = leading.appended;
                leading.parked.push_back(Parked { until, waiter, reply });
                None
            }
            _ => Some((waiter, reply)),
        }
    }

    /// Takes in the committed record at `at`, and says what it changed of the committed state.
    pub fn commit(&mut self, at: Offset, record: &S::Record) -> S::Change {
        assert!(at >= self.applied, "no committed record is applied twice");
        self.applied = at.next();
        self.committed.apply(at, record)
    }

    /// Everything before `end` is committed, and the rest of it holds no records of ours.
    pub fn committed_to(&mut self, end: Offset) {
        self.applied = self.applied.max(end);
    }

    /// The next answer that need not wait any longer.
    pub fn pop_ready(&mut self) -> Option<(W, S::Reply)> {
        let applied = self.applied;
        let leading = self.leading.as_mut()?;
        if leading.parked.front()?.until > applied {
            return None;
        }
        leading.parked.pop_front().map(|parked| (parked.waiter, parked.reply))
    }

    /// What `waiter` waits to hear, if it does.
    pub fn parked(&self, waiter: &W) -> Option<&S::Reply>
    where
        W: PartialEq,
    {
        let parked = &self.leading.as_ref()?.parked;
        parked.iter().find(|it| it.waiter == *waiter).map(|it| &it.reply)
    }

    /// Does not lead any more: forgets what is not committed. Returns the answers that must not be given
    /// now, in the order they were parked: what they promise may never be.
    pub fn depose(&mut self) -> Vec<(W, S::Reply)> {
        match self.leading.take() {
            Some(leading) => leading.parked.into_iter().map(|parked| (parked.waiter, parked.reply)).collect(),
            None => Vec::new(),
        }
    }

    /// Takes a snapshot's state in place of the committed one. Only for a follower.
    pub fn restore(&mut self, state: S, end: Offset) {
        assert!(self.leading.is_none(), "a leader has every committed record");
        self.committed = state;
        self.applied = end;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::{super::Decision, *};

    /// A sum; asked to add, it refuses what would make it odd.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Sum(u64);

    impl Replicated for Sum {
        type Request = u64;
        type Reply = Result<u64, ()>;
        type Record = u64;
        type Change = u64;
        type Context<'a> = ();

        fn decide(&self, _: &mut (), add: &u64) -> Decision<Sum> {
            if (self.0 + add) % 2 == 1 {
                return Decision::answer(Err(()));
            }
            Decision { records: vec![*add], reply: Ok(self.0 + add) }
        }

        fn apply(&mut self, _: Offset, record: &u64) -> u64 {
            self.0 += record;
            self.0
        }
    }

    fn decide(shard: &mut Shard<Sum, char>, waiter: char, add: u64) -> Option<(char, Result<u64, ()>)> {
        let decision = shard.state().expect("leads").decide(&mut (), &add);
        let base = shard.appended().expect("leads");
        shard.append(base, &decision.records);
        shard.park(waiter, decision.reply)
    }

    #[test]
    fn a_decision_sees_those_before_it_and_its_answer_waits_for_the_log() {
        let mut shard = Shard::new(Sum(0), Offset(7));
        shard.lead(Offset(7));
        assert_eq!(decide(&mut shard, 'a', 2), None);
        assert_eq!(decide(&mut shard, 'b', 4), None);
        // A refusal, too, rests on what is not committed yet.
        assert_eq!(decide(&mut shard, 'c', 1), None);
        assert_eq!(shard.committed(), &Sum(0));

        assert_eq!(shard.commit(Offset(7), &2), 2);
        assert_eq!(shard.pop_ready(), Some(('a', Ok(2))));
        assert_eq!(shard.pop_ready(), None);
        assert_eq!(shard.commit(Offset(8), &4), 6);
        assert_eq!(shard.pop_ready(), Some(('b', Ok(6))));
        assert_eq!(shard.pop_ready(), Some(('c', Err(()))));
        // Nothing is uncommitted now: an answer need not wait.
        assert_eq!(decide(&mut shard, 'd', 3), Some(('d', Err(()))));
    }

    #[test]
    fn the_deposed_go_back_to_what_is_committed() {
        let mut shard = Shard::new(Sum(0), Offset(0));
        shard.lead(Offset(0));
        assert_eq!(decide(&mut shard, 'a', 2), None);
        assert_eq!(decide(&mut shard, 'b', 2), None);
        shard.commit(Offset(0), &2);
        assert_eq!(shard.pop_ready(), Some(('a', Ok(2))));

        assert_eq!(shard.depose(), [('b', Ok(4))]);
        assert_eq!((shard.state(), shard.committed()), (None, &Sum(2)));
        // Somebody else's record took the place of ours.
        shard.commit(Offset(1), &10);
        shard.lead(Offset(2));
        assert_eq!(shard.state(), Some(&Sum(12)));
    }
}
