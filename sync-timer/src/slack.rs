//! Punctual sleeping: makes the system wake a thread at its deadline, and not up to 50 us later, as
//! Linux does by default to save wake-ups.
//!
//! The setting belongs to the thread, and Linux hands it on to the threads and programs that the
//! thread starts. So it is changed only for the time of a sleep, and user code never runs under it.
//!
//! Where the system has no such setting, or refuses, timers are later and otherwise right.

#[cfg(target_os = "linux")]
mod system {
    use core::num::NonZeroU64;

    use rustix::thread::{current_timer_slack, set_current_timer_slack};

    /// Nanoseconds.
    const SMALLEST: NonZeroU64 = NonZeroU64::MIN;

    /// The timer slack that a thread has while it does not sleep.
    pub(crate) struct Slack {
        /// `None`: nothing needs to be changed for a sleep.
        usual: Option<NonZeroU64>,
    }

    impl Slack {
        /// Reads the slack of the calling thread.
        pub(crate) fn of_this_thread() -> Self {
            let usual = current_timer_slack().ok().and_then(NonZeroU64::new);
            Self { usual: usual.filter(|&usual| usual != SMALLEST) }
        }

        /// Makes the system wake the calling thread, which must be the same one, on time until the
        /// value is dropped.
        pub(crate) fn wake_on_time(&self) -> OnTime<'_> {
            if self.usual.is_some() {
                let _ = set_current_timer_slack(Some(SMALLEST));
            }
            OnTime(self)
        }
    }

    /// Gives the thread its usual slack back when it is dropped.
    #[must_use]
    pub(crate) struct OnTime<'a>(&'a Slack);

    impl Drop for OnTime<'_> {
        fn drop(&mut self) {
            if self.0.usual.is_some() {
                let _ = set_current_timer_slack(self.0.usual);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use core::marker::PhantomData;

    /// Nothing, on this system.
    pub(crate) struct Slack;

    impl Slack {
        pub(crate) fn of_this_thread() -> Self {
            Self
        }

        pub(crate) fn wake_on_time(&self) -> OnTime<'_> {
            OnTime(PhantomData)
        }
    }

    /// Nothing, on this system.
    #[must_use]
    pub(crate) struct OnTime<'a>(PhantomData<&'a Slack>);
}

pub(crate) use system::Slack;
