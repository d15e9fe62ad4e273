//! Punctual sleeping.

/// Asks the system to wake the calling thread when it wants to be woken, and not up to 50 us later, as Linux does to save wake-ups.
///
/// Where the system has no such setting, or refuses, timers are later and otherwise right.
pub(crate) fn wake_on_time() {
    cfg_select! {
        target_os = "linux" => {
            let _ = rustix::thread::set_current_timer_slack(core::num::NonZeroU64::new(1));
        }
        _ => {}
    }
}
