//! Storms: hostile bytes, and kill/stop/continue with an audit.
#![cfg(target_os = "linux")]

#[path = "../support/processes.rs"]
mod processes;
#[path = "../../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

mod hostile;
mod soak;

/// A number of rounds, or `SYNC_IPC_DIVISOR`-th of them, for a processor that is emulated.
fn rounds(all: u64) -> u64 {
    let divisor = std::env::var("SYNC_IPC_DIVISOR").ok();
    all / divisor.and_then(|divisor| divisor.parse().ok()).unwrap_or(1).max(1)
}

/// A small generator, so that a run can be repeated: `SYNC_SEED=<n>`.
struct Random(u64);

impl Random {
    fn new(test: &str) -> Self {
        let seed = std::env::var("SYNC_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(1, |now| now.as_nanos() as u64)
            });
        println!("{test}: SYNC_SEED={seed}");
        Self(seed | 1)
    }

    /// xorshift64*
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}
