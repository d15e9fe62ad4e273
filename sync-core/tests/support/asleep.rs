//! Whether a thread sleeps, asked of the system.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Waits until a thread sleeps, whose number in the system `task` holds, 0 for not yet; where the
/// system does not tell, long enough.
pub(crate) fn until_asleep(task: &AtomicU32) {
    if cfg!(not(target_os = "linux")) {
        return thread::sleep(Duration::from_millis(20));
    }
    loop {
        // The state is the first field after the name, which ends with the last parenthesis.
        let stat = std::fs::read_to_string(format!(
            "/proc/self/task/{}/stat",
            task.load(Ordering::Relaxed)
        ))
        .unwrap_or_default();
        if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')) {
            return;
        }
        thread::yield_now();
    }
}
