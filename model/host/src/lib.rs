//! Runs a node in a world: the only async code that touches the model.

use trial_model::{
    machine::{Effects, Input, Machine},
    node::Node,
    time::{Instant, Now},
};

/// Where a node lives: what brings it inputs and carries out what it wants.
pub trait World {
    /// Waits for the next thing to happen to the node: `None` once its life has ended.
    ///
    /// `deadline` is the node's own, on its monotonic clock; if nothing happens first, it is
    /// `Input::Deadline`.
    fn next_input(&mut self, deadline: Option<Instant>) -> impl Future<Output = Option<(Now, Input)>> + Send;

    /// Looks at a step that was taken, before its effects are carried out. May take the events away.
    fn stepped(&mut self, now: Now, effects: &mut Effects, node: &Node);

    /// Carries out what a step wants, and leaves `effects` empty.
    fn perform(&mut self, now: Now, effects: &mut Effects);
}

/// Runs `node` until the world ends its life; gives back what it had in memory. Both worlds run on this.
pub async fn run(mut node: Node, mut world: impl World) -> Node {
    let mut effects = Effects::new();
    while let Some((now, input)) = world.next_input(node.deadline()).await {
        node.step(now, input, &mut effects);
        world.stepped(now, &mut effects, &node);
        world.perform(now, &mut effects);
    }
    node
}
