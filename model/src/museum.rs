//! Which historical bugs can be switched back on?
//!
//! Each is one branch at the place where Kafka had it, `if self.museum.has(Bug::TruncateToLocalHw)`, next to
//! a comment with the ticket. Builds without the `museum` feature have none of them: `has` is then `false`
//! for the compiler, too. The slugs are those by which `trial run --plant` knows them.

macro_rules! museum {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $ticket:literal, $check:literal, $breaks:literal;)*) => {
        /// A bug that Kafka once had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Bug { $($(#[$doc])* $name,)* }

        impl Bug {
            /// All of them, in the order of the catalogue.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];

            /// The name it is planted by.
            pub const fn slug(self) -> &'static str {
                match self { $(Bug::$name => $slug,)* }
            }

            /// The ticket or KIP.
            pub const fn ticket(self) -> &'static str {
                match self { $(Bug::$name => $ticket,)* }
            }

            /// The check that catches it.
            pub const fn caught_by(self) -> &'static str {
                match self { $(Bug::$name => $check,)* }
            }

            /// What it breaks, in a sentence.
            pub const fn breaks(self) -> &'static str {
                match self { $(Bug::$name => $breaks,)* }
            }

            /// The bug of a name.
            pub fn from_slug(slug: &str) -> Option<Bug> {
                Bug::ALL.iter().copied().find(|bug| bug.slug() == slug)
            }
        }
    };
}

museum! {
    /// KIP-101: a follower cuts its log to its own high watermark, which lags, instead of asking the leader.
    TruncateToLocalHw = "truncate-to-local-hw", "KIP-101", "no_truncation_below_high_watermark",
        "a follower truncates records that are committed";
}

/// The bugs that are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Museum(u128);

impl Museum {
    /// No bug at all.
    pub const CLOSED: Museum = Museum(0);

    /// With `bug` switched on, too.
    #[must_use]
    pub const fn with(self, bug: Bug) -> Museum {
        Museum(self.0 | 1 << bug as u8)
    }

    /// Whether `bug` is switched on. Always `false` in builds without the museum.
    #[inline]
    pub const fn has(self, bug: Bug) -> bool {
        cfg!(feature = "museum") && self.0 & 1 << bug as u8 != 0
    }

    /// The bugs that are switched on.
    pub fn bugs(self) -> impl Iterator<Item = Bug> {
        Bug::ALL.iter().copied().filter(move |bug| self.has(*bug))
    }
}
