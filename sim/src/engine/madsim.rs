//! Every node a task on its own madsim node, driven by the production loop under madsim's randomised
//! scheduler.
//!
//! Time is madsim's own: a driver task sleeps in it from millisecond to millisecond. The instants within
//! one are finer than madsim's clock; there whoever is the last to finish an instant begins the next. Within
//! an instant the scheduler lets the nodes that are ready run in an order it draws; the trace must not show
//! it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use trial_model::{
    machine::{Effects, Input},
    node::Node,
    time::{Instant, Now},
};

use crate::{
    trace::InputNote,
    world::{Seat, World},
};

/// What the tasks share.
struct Shared {
    world: Arc<Mutex<World>>,
    /// How many nodes have not finished the current instant.
    running: AtomicUsize,
    /// What wakes the task of each seat that has one.
    wakers: Mutex<Vec<Option<Arc<Notify>>>>,
    /// Whether a process was ended at this instant: its task ends with the instant.
    somebody_died: AtomicBool,
    /// The millisecond that madsim's clock shows.
    millisecond: AtomicU64,
    /// The instant that has begun, which the driver must see to.
    begun: Mutex<Option<Instant>>,
    /// Wakes the driver.
    drive: Notify,
}

impl Shared {
    /// A node has finished the current instant; the last of them begins the next.
    fn finish_instant(&self) {
        if self.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.go_on();
        }
    }

    /// Begins instants until one has something for a node, or for the driver: time to pass, somebody to be
    /// born or buried, or the end.
    fn go_on(&self) {
        let mut world = self.world.lock().expect("no step panicked");
        if self.somebody_died.swap(false, Ordering::Relaxed) || world.changes_lives() {
            let mut wakers = self.wakers.lock().expect("no step panicked");
            let dead = wakers.iter_mut().enumerate().filter(|(seat, _)| !world.is_alive(*seat));
            dead.for_each(|(_, waker)| *waker = None);
        }
        loop {
            let at = world.next_instant();
            let for_driver = at.is_none_or(|at| {
                at.0 / NANOS_PER_MILLI != self.millisecond.load(Ordering::Relaxed) || world.changes_lives()
            });
            if for_driver {
                *self.begun.lock().expect("no step panicked") = at;
                return self.drive.notify_one();
            }
            let ready = world.take_ready();
            let woken = self.wake(&ready, 0);
            world.put_back_ready(ready);
            if woken > 0 {
                return;
            }
        }
    }

    /// What will wake the task that is about to begin for `seat`.
    fn new_waker(&self, seat: Seat) -> Arc<Notify> {
        let mut wakers = self.wakers.lock().expect("no step panicked");
        if wakers.len() <= seat {
            wakers.resize(seat + 1, None);
        }
        wakers[seat].insert(Arc::new(Notify::new())).clone()
    }

    /// Wakes the tasks of `seats`; says how many must finish the instant, `more` besides them.
    fn wake(&self, seats: &[Seat], more: usize) -> usize {
        let wakers = self.wakers.lock().expect("no step panicked");
        let woken = || seats.iter().filter_map(|seat| wakers.get(*seat)?.as_ref());
        let running = woken().count() + more;
        self.running.store(running, Ordering::Relaxed);
        woken().for_each(|waker| waker.notify_one());
        running
    }
}

const NANOS_PER_MILLI: u64 = 1_000_000;

/// One life of one node, as its task sees the world.
struct NodeWorld {
    shared: Arc<Shared>,
    seat: Seat,
    incarnation: u64,
    wake: Arc<Notify>,
    input: InputNote,
}

impl trial_host::World for NodeWorld {
    async fn next_input(&mut self, deadline: Option<Instant>) -> Option<(Now, Input)> {
        loop {
            {
                let mut world = self.shared.world.lock().expect("no step panicked");
                if world.incarnation(self.seat) != self.incarnation || !world.is_alive(self.seat) {
                    drop(world);
                    self.shared.finish_instant();
                    return None;
                }
                if let Some((now, input)) = world.take_input(self.seat, || deadline) {
                    self.input = InputNote::from(&input);
                    world.note_input(self.seat, &input);
                    return Some((now, input));
                }
            }
            self.shared.finish_instant();
            self.wake.notified().await;
        }
    }

    fn stepped(&mut self, _now: Now, effects: &mut Effects, node: &Node) {
        let mut world = self.shared.world.lock().expect("no step panicked");
        world.stepped(self.seat, self.input, effects, node);
    }

    fn perform(&mut self, _now: Now, effects: &mut Effects) {
        self.shared.world.lock().expect("no step panicked").perform(self.seat, effects);
    }
}

/// What may not change the trace, however it is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// What madsim's scheduler draws from.
    pub seed: u64,
    /// How many more tasks wake up all the time and do nothing.
    pub noise: usize,
}

/// Runs the world to its end. Must be called on a fresh thread: madsim keeps state in the thread's own.
pub fn run(world: Arc<Mutex<World>>, scheduling: Scheduling) {
    let runtime = ::madsim::runtime::Runtime::with_seed_and_config(scheduling.seed, Default::default());
    runtime.block_on(async move {
        let noise: Vec<_> = (0..scheduling.noise)
            .map(|n| {
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(Duration::from_millis(n as u64 + 1)).await;
                    }
                })
            })
            .collect();
        drive(world).await;
        noise.iter().for_each(|task| task.abort());
        // Tasks that have ended are freed when time goes on.
        tokio::time::sleep(Duration::from_millis(1)).await;
    });
}

async fn drive(world: Arc<Mutex<World>>) {
    let shared = Arc::new(Shared {
        world,
        running: AtomicUsize::new(0),
        wakers: Mutex::default(),
        somebody_died: AtomicBool::new(false),
        millisecond: AtomicU64::new(0),
        begun: Mutex::default(),
        drive: Notify::new(),
    });
    let born = tokio::time::Instant::now();
    let handle = ::madsim::runtime::Handle::current();
    let mut hosts = BTreeMap::new();
    shared.go_on();
    loop {
        shared.drive.notified().await;
        let Some(at) = shared.begun.lock().expect("no step panicked").take() else { break };
        let millisecond = at.0 / NANOS_PER_MILLI;
        if shared.millisecond.swap(millisecond, Ordering::Relaxed) != millisecond {
            tokio::time::sleep_until(born + Duration::from_millis(millisecond)).await;
        }
        let (wake, births) = {
            let mut world = shared.world.lock().expect("no step panicked");
            let (deaths, births, ready) = (world.take_deaths(), world.take_births(), world.take_ready());
            let mut wake: Vec<Seat> = deaths.iter().chain(&ready).copied().collect();
            wake.extend(births.iter().map(|(seat, _)| *seat));
            wake.sort_unstable();
            wake.dedup();
            world.put_back_ready(ready);
            shared.somebody_died.store(!deaths.is_empty(), Ordering::Relaxed);
            (wake, births)
        };
        // A seat that dies and is born again at one instant has two tasks that must finish it.
        let running = shared.wake(&wake, births.len());
        for (seat, node) in births {
            let waker = shared.new_waker(seat);
            let incarnation = shared.world.lock().expect("no step panicked").incarnation(seat);
            let world =
                NodeWorld { shared: shared.clone(), seat, incarnation, wake: waker, input: InputNote::Start };
            let host = hosts.entry(seat).or_insert_with(|| handle.create_node().build());
            host.spawn(trial_host::run(node, world));
        }
        if running == 0 {
            shared.go_on();
        }
    }
    // Every task sees that its life has ended.
    shared.world.lock().expect("no step panicked").end_everybody();
    shared.wakers.lock().expect("no step panicked").iter().flatten().for_each(|waker| waker.notify_one());
    tokio::task::yield_now().await;
}
