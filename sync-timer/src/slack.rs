//! Punctual sleeping: asks the system to wake a thread when it wants to be woken, and not up to 50
//! us later, as Linux does by default to save wake-ups.
//!
//! Where the system has no such setting, or refuses, timers are later and otherwise right.

cfg_select! {
    target_os = "linux" => {
        use core::num::NonZeroU64;

        use rustix::thread::{current_timer_slack, set_current_timer_slack};

        /// Nanoseconds.
        const SMALLEST: NonZeroU64 = NonZeroU64::MIN;

        /// For the rest of the calling thread's life.
        pub(crate) fn wake_on_time() {
            let _ = set_current_timer_slack(Some(SMALLEST));
        }

        /// Until it is dropped: for somebody else's thread, which gets its own setting back.
        #[must_use]
        pub(crate) struct OnTime(Option<NonZeroU64>);

        impl OnTime {
            pub(crate) fn begin() -> Self {
                let before = current_timer_slack().ok().and_then(NonZeroU64::new).filter(|&before| before != SMALLEST);
                if before.is_some() {
                    wake_on_time();
                }
                Self(before)
            }
        }

        impl Drop for OnTime {
            fn drop(&mut self) {
                if self.0.is_some() {
                    let _ = set_current_timer_slack(self.0);
                }
            }
        }
    }
    _ => {
        /// For the rest of the calling thread's life.
        pub(crate) fn wake_on_time() {}

        /// Until it is dropped.
        #[must_use]
        pub(crate) struct OnTime(());

        impl OnTime {
            pub(crate) fn begin() -> Self {
                Self(())
            }
        }
    }
}
