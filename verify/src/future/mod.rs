//! Futures inside a model.

mod atomic_waker;

pub use atomic_waker::AtomicWaker;

use crate::engine::memory_model::event::POLL;
use crate::engine::runtime::object;
use crate::sync::Notify;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

struct Alarm(Notify);

impl Wake for Alarm {
    #[track_caller]
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }

    #[track_caller]
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify();
    }
}

/// Runs a future to its end on the current thread of the model.
///
/// The future is also polled without having been woken, as any executor may: as often in an
/// execution as [`Builder::spurious_wakeups`](crate::model::Builder::spurious_wakeups) says.
#[track_caller]
pub fn block_on<F: Future>(f: F) -> F::Output {
    let site = Location::caller();
    let mut f = pin!(f);
    let alarm = Arc::new(Alarm(Notify::new()));
    let waker = Waker::from(alarm.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        match f.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => {
                if object::choose(2, POLL, site) == 0 {
                    alarm.0.wait();
                }
            }
        }
    }
}
