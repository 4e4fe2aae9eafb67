//! Which fetch session does a connection have? KIP-227.
//!
//! Kafka numbers sessions and lets any connection go on with one; here a session belongs to its connection,
//! so a number that comes by another connection is not found, and the client begins anew.

use std::sync::atomic::{AtomicI32, Ordering};

/// Numbers are not given twice in a process, until they have all been given.
static LAST: AtomicI32 = AtomicI32::new(0);

/// The fetch session of one connection.
#[derive(Clone, Debug, Default)]
pub struct FetchSession {
    id: i32,
    /// The epoch that the next request of it must have.
    next: i32,
}

/// What a fetch means by its session's number and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// Everything it asks for stands in it; the answer bears this number, 0 for no session.
    Full(i32),
    /// What the session has asked for before is meant, too.
    Incremental(i32),
    /// There is no such session: `FETCH_SESSION_ID_NOT_FOUND`.
    NotFound,
    /// The session is not at this epoch: `INVALID_FETCH_SESSION_EPOCH`.
    WrongEpoch,
}

impl FetchSession {
    /// Takes what a request says. `may_begin` tells whether a new session may be had.
    pub(crate) fn take(&mut self, id: i32, epoch: i32, may_begin: bool) -> Meant {
        match epoch {
            -1 => {
                self.id = 0;
                Meant::Full(0)
            }
            0 if may_begin => {
                self.id = 1 + LAST.fetch_add(1, Ordering::Relaxed) % (i32::MAX - 1);
                self.id = self.id.max(1);
                self.next = 1;
                Meant::Full(self.id)
            }
            0 => {
                self.id = 0;
                Meant::Full(0)
            }
            _ if self.id == 0 || id != self.id => Meant::NotFound,
            _ if epoch != self.next => Meant::WrongEpoch,
            _ => {
                self.next = if epoch == i32::MAX { 1 } else { epoch + 1 };
                Meant::Incremental(self.id)
            }
        }
    }

    /// What the asking side says of its session: no number until the answer has told it, which a peer of
    /// our own build does not ask for.
    pub(crate) fn spell(&mut self, incremental: bool) -> (i32, i32) {
        if !incremental {
            self.next = 1;
            return (0, 0);
        }
        let epoch = self.next.max(1);
        self.next = if epoch == i32::MAX { 1 } else { epoch + 1 };
        (self.id, epoch)
    }

    /// The answer has told the session's number.
    pub(crate) fn told(&mut self, id: i32) {
        self.id = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_on_by_its_number_and_epoch() {
        let mut session = FetchSession::default();
        let Meant::Full(id) = session.take(0, 0, true) else { panic!("a new session") };
        assert!(id > 0);
        assert_eq!(session.take(id, 1, true), Meant::Incremental(id));
        assert_eq!(session.take(id, 1, true), Meant::WrongEpoch);
        assert_eq!(session.take(id + 1, 2, true), Meant::NotFound);
        assert_eq!(session.take(id, 2, true), Meant::Incremental(id));
        assert_eq!(session.take(id, -1, true), Meant::Full(0));
        assert_eq!(session.take(id, 3, true), Meant::NotFound);
    }
}
