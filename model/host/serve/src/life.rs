//! Does a node's process go on, stand still, or crawl?

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::sync::watch;

/// What can be done to a process that is a part of ours, and cannot be stopped by a signal of its own.
#[derive(Debug)]
pub(crate) struct Life {
    paused: AtomicBool,
    changed: watch::Sender<bool>,
    slow: AtomicU64,
}

impl Default for Life {
    fn default() -> Life {
        Life { paused: AtomicBool::new(false), changed: watch::Sender::new(false), slow: AtomicU64::new(0) }
    }
}

impl Life {
    /// Lets it stand still, or go on. What it has asked of its disk is carried out all the same, and the
    /// system takes what is sent to it, as for a process that is stopped.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
        self.changed.send_replace(paused);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Every step takes so long from now on.
    pub(crate) fn slow(&self, by: Duration) {
        self.slow.store(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits while it stands still.
    pub(crate) async fn awake(&self) {
        if self.is_paused() {
            let _ = self.changed.subscribe().wait_for(|paused| !paused).await;
        }
    }

    /// Waits until its next step may be taken.
    pub(crate) async fn turn(&self) {
        let slow = self.slow.load(Ordering::Relaxed);
        if slow > 0 {
            tokio::time::sleep(Duration::from_nanos(slow)).await;
        }
        self.awake().await;
    }
}
