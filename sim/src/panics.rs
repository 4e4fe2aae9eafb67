//! What if the code under test panics? It has broken a promise like any other, and says where.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use trial_model::time::Instant;

use crate::check::Violation;

/// A panic of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where in the code.
    pub location: String,
}

impl Panic {
    /// The broken promise.
    pub fn into_violation(self, at: Instant) -> Violation {
        Violation {
            check: "no_panics",
            at,
            partition: None,
            headline: format!("a node panicked: {}", self.message.lines().next().unwrap_or("")),
            lines: vec![("panic", self.message), ("where", self.location)],
        }
    }
}

thread_local! {
    static CATCHING: RefCell<Option<Option<Panic>>> = const { RefCell::new(None) };
}

/// Runs `body`; gives back the panic that ended it, if one did. Nothing is printed.
pub fn catch(body: impl FnOnce()) -> Option<Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let caught = CATCHING.with(|catching| match &mut *catching.borrow_mut() {
                Some(first) => {
                    first.get_or_insert_with(|| describe(info));
                    true
                }
                None => false,
            });
            if !caught {
                before(info);
            }
        }));
    });
    CATCHING.with(|catching| *catching.borrow_mut() = Some(None));
    let ended = panic::catch_unwind(AssertUnwindSafe(body));
    let first = CATCHING.with(|catching| catching.borrow_mut().take()).flatten();
    match ended {
        Ok(()) => None,
        Err(_) => Some(first.unwrap_or(Panic { message: "unknown".into(), location: "unknown".into() })),
    }
}

fn describe(info: &panic::PanicHookInfo<'_>) -> Panic {
    let message = info.payload_as_str().unwrap_or("a panic without words").to_owned();
    let location = info.location().map_or("unknown".into(), ToString::to_string);
    Panic { message, location }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_place() {
        let panic = catch(|| panic!("the high watermark is past the end")).expect("it panicked");
        assert_eq!(panic.message, "the high watermark is past the end");
        assert!(panic.location.contains("panics.rs"), "{}", panic.location);
        assert_eq!(catch(|| {}), None);
    }
}
