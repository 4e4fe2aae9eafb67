//! What `model/host/serve/src/disk.rs` does on real files, on a simulated disk in madsim's time.

use std::sync::{Arc, Mutex};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time,
};
use trial::disk::Disk;
use trial_model::{
    disk::{DiskReply, DiskWork},
    time::Instant,
};

/// A disk as all lives of its node have it, and since when its time counts.
#[derive(Clone)]
pub(crate) struct Platter {
    disk: Arc<Mutex<Disk>>,
    began: time::Instant,
}

impl Platter {
    pub(crate) fn new(disk: Disk, began: time::Instant) -> Platter {
        Platter { disk: Arc::new(Mutex::new(disk)), began }
    }

    /// The process is gone: what it had not yet been told was written is not.
    pub(crate) fn process_died(&self) {
        let now = self.now();
        self.with(|disk| disk.process_died(now));
    }

    fn now(&self) -> Instant {
        let micros = u64::try_from(self.began.elapsed().as_micros()).expect("a run is short");
        Instant(micros * 1_000)
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Disk) -> T) -> T {
        ask(&mut self.disk.lock().expect("nobody panicked"))
    }

    async fn due(&self) {
        match self.with(|disk| disk.next_due()) {
            Some(due) => time::sleep_until(self.began + time::Duration::from_nanos(due.0)).await,
            None => std::future::pending().await,
        }
    }
}

/// One process's way to it.
pub(crate) struct FileDisk {
    work: UnboundedSender<DiskWork>,
}

impl FileDisk {
    /// `reply` is told what came of every operation.
    pub(crate) fn new(platter: Platter, mut reply: impl FnMut(DiskReply) + Send + 'static) -> FileDisk {
        let (work, mut todo) = unbounded_channel::<DiskWork>();
        tokio::spawn(async move {
            let mut replies = Vec::new();
            loop {
                tokio::select! {
                    biased;
                    asked = todo.recv() => {
                        let Some(asked) = asked else { return };
                        let now = platter.now();
                        platter.with(|disk| disk.perform(now, asked));
                    }
                    () = platter.due() => {
                        let now = platter.now();
                        platter.with(|disk| disk.advance(now, &mut replies));
                        replies.drain(..).for_each(|(_, told)| reply(told));
                    }
                }
            }
        });
        FileDisk { work }
    }

    /// Asks for work, and does not wait for it.
    pub(crate) fn ask(&self, work: DiskWork) {
        let _ = self.work.send(work);
    }
}
