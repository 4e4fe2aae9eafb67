//! Which kind of fault is this, as a number?

use crate::scenario::file::Action;

/// The number of the kind: below 32, the same in every run.
pub const fn number(act: &Action) -> u32 {
    match act {
        Action::Crash(crash) if crash.lose_unsynced => 1,
        Action::Crash(_) => 2,
        Action::LoseDisk(_) => 3,
        Action::Restart(_) => 4,
        Action::Shutdown(_) => 5,
        Action::Pause(_) => 6,
        Action::SlowNode(_) => 7,
        Action::Cut(_) => 8,
        Action::Heal(_) => 9,
        Action::Drop(_) => 10,
        Action::Delay(_) => 11,
        Action::SlowLink(_) => 12,
        Action::LossyLink(_) => 13,
        Action::LimitLink(_) => 14,
        Action::Reset(_) => 15,
        Action::SlowDisk(_) => 16,
        Action::DiskError(_) => 17,
        Action::FullDisk(_) => 18,
        Action::LyingFlush(_) => 19,
        Action::BitRot(_) => 20,
        Action::ClockJump(_) => 21,
        Action::ClockOffset(_) => 22,
        Action::ClockDrift(_) => 23,
    }
}
