//! The run as a loop over an agenda: no runtime at all, for speed.

use trial_model::{
    machine::{Effects, Machine},
    node::Node,
};

use crate::{trace::InputNote, world::World};

/// Runs the world to its end.
pub fn run(world: &mut World) {
    let mut nodes: Vec<Option<Node>> = Vec::new();
    let mut effects = Effects::new();
    while world.next_instant().is_some() {
        for seat in world.take_deaths() {
            nodes[seat] = None;
        }
        for (seat, node) in world.take_births() {
            if nodes.len() <= seat {
                nodes.resize_with(seat + 1, || None);
            }
            nodes[seat] = Some(node);
        }
        let ready = world.take_ready();
        for &seat in &ready {
            while let Some(node) = nodes.get_mut(seat).and_then(Option::as_mut)
                && let Some((now, input)) = world.take_input(seat, || node.deadline())
            {
                let note = InputNote::from(&input);
                world.note_input(seat, &input);
                node.step(now, input, &mut effects);
                world.stepped(seat, note, &mut effects, node);
                world.perform(seat, &mut effects);
            }
        }
        world.put_back_ready(ready);
    }
}
