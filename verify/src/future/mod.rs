//! Futures inside a model.

mod atomic_waker;

pub use atomic_waker::AtomicWaker;

use crate::sync::Notify;
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

/// Runs a future to its end on the current thread of the model. It is also polled without having
/// been woken, as any executor may.
#[track_caller]
pub fn block_on<F: Future>(f: F) -> F::Output {
    let mut f = pin!(f);
    let alarm = Arc::new(Alarm(Notify::new()));
    let waker = Waker::from(alarm.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        match f.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => alarm.0.wait(),
        }
    }
}
