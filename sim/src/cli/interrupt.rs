//! What if somebody presses ctrl-c, or a scheduler sends SIGTERM? The run ends where it is, and what was found is saved.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static LISTENING: Once = Once::new();

/// Listens from now on. A second ctrl-c ends the program at once.
pub fn listen() {
    LISTENING.call_once(|| {
        let heard = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(super::Exit::Interrupted.code()));
            }
        });
        if let Err(error) = heard {
            tracing::warn!("ctrl-c ends the program without saving: {error}");
        }
    });
}

/// Whether it was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
