//! Every node a task on its own madsim node, driven by the production loop under madsim's randomised
//! scheduler.
//!
//! A driver task moves the world from instant to instant, sleeping in madsim's virtual time in between:
//! madsim sleeps at least a millisecond, so its clock runs a thousand times slower than ours, one of its
//! milliseconds for each of our microseconds. Within an instant the scheduler lets the nodes that are ready
//! run in an order it draws; the trace must not show it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
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
    /// Woken when the last node has.
    instant_done: Notify,
}

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
                    self.finish_instant();
                    return None;
                }
                if let Some((now, input)) = world.take_input(self.seat, deadline) {
                    self.input = InputNote::from(&input);
                    world.note_input(self.seat, &input);
                    return Some((now, input));
                }
            }
            self.finish_instant();
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

impl NodeWorld {
    fn finish_instant(&self) {
        if self.shared.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.shared.instant_done.notify_one();
        }
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
                        tokio::time::sleep(Duration::from_millis(997 * (n as u64 + 1))).await;
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
    let shared = Arc::new(Shared { world, running: AtomicUsize::new(0), instant_done: Notify::new() });
    let born = tokio::time::Instant::now();
    let handle = ::madsim::runtime::Handle::current();
    let mut hosts = BTreeMap::new();
    let mut wakers: BTreeMap<Seat, Arc<Notify>> = BTreeMap::new();
    let mut wake = Vec::new();
    loop {
        let (at, births) = {
            let mut world = shared.world.lock().expect("no step panicked");
            let Some(at) = world.next_instant() else { break };
            let deaths = world.take_deaths();
            let births = world.take_births();
            let ready = world.take_ready();
            wake.clear();
            wake.extend(deaths.iter().chain(&ready).copied());
            wake.extend(births.iter().map(|(seat, _)| *seat));
            wake.sort_unstable();
            wake.dedup();
            world.put_back_ready(ready);
            (at, births)
        };
        tokio::time::sleep_until(born + Duration::from_millis(at.micros_up())).await;
        // A seat that dies and is born again at one instant has two tasks that must finish it.
        let mut running = wake.iter().filter(|seat| wakers.contains_key(seat)).count();
        let new: Vec<Seat> = births.iter().map(|(seat, _)| *seat).collect();
        running += new.len();
        shared.running.store(running, Ordering::Relaxed);
        for seat in &wake {
            if let Some(waker) = wakers.get(seat) {
                waker.notify_one();
            }
        }
        for (seat, node) in births {
            let waker = Arc::new(Notify::new());
            wakers.insert(seat, waker.clone());
            let incarnation = shared.world.lock().expect("no step panicked").incarnation(seat);
            let world =
                NodeWorld { shared: shared.clone(), seat, incarnation, wake: waker, input: InputNote::Start };
            let host = hosts.entry(seat).or_insert_with(|| handle.create_node().build());
            host.spawn(trial_host::run(node, world));
        }
        if running > 0 {
            shared.instant_done.notified().await;
        }
        let world = shared.world.lock().expect("no step panicked");
        wakers.retain(|seat, _| world.is_alive(*seat));
    }
    // Every task sees that its life has ended.
    shared.world.lock().expect("no step panicked").end_everybody();
    wakers.values().for_each(|waker| waker.notify_one());
    tokio::task::yield_now().await;
}
