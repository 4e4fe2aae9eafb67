//! When must the world look at which node next?
//!
//! One time a node, in a tree of minima: a node is put off far more often than it is woken, and a queue
//! would fill with times that no longer count.

use trial_model::time::Instant;

use super::Seat;

/// The next time of every node that has one.
#[derive(Clone, Debug)]
pub struct Agenda {
    /// A heap-shaped tree: the first half of it are minima of two below, the second half are the nodes.
    tree: Vec<Instant>,
    leaves: usize,
}

impl Agenda {
    /// No node has a time; seats are below `seats`.
    pub fn new(seats: usize) -> Agenda {
        let leaves = seats.next_power_of_two().max(1);
        Agenda { tree: vec![Instant::FOREVER; 2 * leaves], leaves }
    }

    /// When a node is looked at.
    pub fn of(&self, seat: Seat) -> Option<Instant> {
        Some(self.tree[self.leaves + seat]).filter(|at| *at != Instant::FOREVER)
    }

    /// Gives a node another time. `Instant::FOREVER` is none at all.
    pub fn set(&mut self, seat: Seat, at: Instant) {
        let mut place = self.leaves + seat;
        self.tree[place] = at;
        while place > 1 {
            let least = self.tree[place].min(self.tree[place ^ 1]);
            place /= 2;
            if self.tree[place] == least {
                return;
            }
            self.tree[place] = least;
        }
    }

    /// The earliest time of all.
    pub fn next(&self) -> Option<Instant> {
        Some(self.tree[1]).filter(|at| *at != Instant::FOREVER)
    }

    /// The first node whose time is not after `now`; it has none afterwards.
    pub fn take_due(&mut self, now: Instant) -> Option<Seat> {
        if self.tree[1] > now || self.tree[1] == Instant::FOREVER {
            return None;
        }
        let mut place = 1;
        while place < self.leaves {
            place *= 2;
            place += usize::from(self.tree[place] > now);
        }
        let seat = place - self.leaves;
        self.set(seat, Instant::FOREVER);
        Some(seat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_next_however_often_it_was_put_off() {
        for seats in [1usize, 2, 3, 5, 8, 13] {
            let mut agenda = Agenda::new(seats);
            let mut plain = vec![Instant::FOREVER; seats];
            let mut rng = trial_model::rng::Rng::named(7, "agenda");
            for _ in 0..2_000 {
                let seat = rng.below(seats as u64) as usize;
                let at = Instant(rng.below(1_000));
                agenda.set(seat, at);
                plain[seat] = at;
                assert_eq!(agenda.next(), plain.iter().copied().min());
                assert_eq!(agenda.of(seat), Some(at));
                if rng.below(4) == 0 {
                    let now = Instant(rng.below(300));
                    let due: Vec<Seat> = std::iter::from_fn(|| agenda.take_due(now)).collect();
                    let expected: Vec<Seat> = (0..seats).filter(|seat| plain[*seat] <= now).collect();
                    assert_eq!(due, expected, "all that is due, in the order of the seats");
                    due.iter().for_each(|seat| plain[*seat] = Instant::FOREVER);
                }
                plain.iter().enumerate().filter(|(_, at)| **at == Instant::FOREVER).for_each(|(seat, _)| {
                    assert_eq!(agenda.of(seat), None);
                });
                if plain.iter().all(|at| *at == Instant::FOREVER) {
                    assert_eq!(agenda.next(), None);
                }
            }
        }
    }
}
