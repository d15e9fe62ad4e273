//! Wakers that panic, and what a wait does with them.
//!
//! A waker's clone, wake and drop are an executor's code: any of them may panic. The file that uses
//! this one has the module `bomb`.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::bomb::{KINDS, Kind};

/// The call of a waker that panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Clone,
    Wake,
    Drop,
}

const CALLS: [Call; 3] = [Call::Clone, Call::Wake, Call::Drop];

struct State {
    call: Call,
    kind: Kind,
    /// The waker of the test itself does not panic.
    armed: AtomicBool,
}

impl State {
    fn blow_if(&self, call: Call) {
        if self.call == call && self.armed.load(SeqCst) && !std::thread::panicking() {
            self.kind.blow();
        }
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let data = data.cast::<State>();
        // SAFETY: a waker has a reference of its own, which this call borrows.
        unsafe { &*data }.blow_if(Call::Clone);
        // SAFETY: the waker's reference keeps it alive; the new waker has the new reference.
        unsafe { Arc::increment_strong_count(data) };
        RawWaker::new(data.cast(), &VTABLE)
    },
    |data| {
        // SAFETY: the call consumes the waker and its reference.
        unsafe { Arc::from_raw(data.cast::<State>()) }.blow_if(Call::Wake);
    },
    // SAFETY: the call borrows the waker and its reference.
    |data| unsafe { &*data.cast::<State>() }.blow_if(Call::Wake),
    |data| {
        // SAFETY: the call consumes the waker and its reference.
        unsafe { Arc::from_raw(data.cast::<State>()) }.blow_if(Call::Drop);
    },
);

fn evil(state: &Arc<State>) -> Waker {
    let data = Arc::into_raw(Arc::clone(state)).cast();
    // SAFETY: the functions of the table keep the contract; that they panic is allowed.
    unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
}

/// Counts its calls.
#[derive(Default)]
pub(crate) struct Calls(AtomicUsize);

impl std::task::Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Runs `f`, whose panic ends here. Returns whether there was none.
fn contained(f: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => true,
        Err(payload) => {
            std::mem::forget(payload);
            false
        }
    }
}

pub(crate) type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Two waits for what `release` makes true, twice: one of a task whose waker panics, and one of
/// another task. A panic of the clone comes out of the poll, and the others come out nowhere; the
/// wait goes on with another waker, and the other task is woken.
///
/// Then a wait that is dropped while it has such a waker: its drop does not panic.
#[track_caller]
pub(crate) fn survives<'a>(what: &str, wait: &dyn Fn() -> Wait<'a>, release: &dyn Fn()) {
    for call in CALLS {
        for kind in KINDS {
            for dropped in [false, true] {
                // A future that has panicked is not polled again.
                let dropped = dropped || call == Call::Clone;
                let state = Arc::new(State { call, kind, armed: AtomicBool::new(true) });
                let good = Arc::new(Calls::default());
                let waker = Waker::from(Arc::clone(&good));
                let mut context = Context::from_waker(&waker);
                let bad = std::mem::ManuallyDrop::new(evil(&state));
                let (mut first, mut second) = (wait(), wait());
                let polled = contained(|| {
                    let polled = first.as_mut().poll(&mut Context::from_waker(&bad));
                    assert!(polled.is_pending(), "{what} has nothing to wait for");
                });
                assert_eq!(polled, call != Call::Clone, "{what}: {call:?} in a poll");
                assert!(second.as_mut().poll(&mut context).is_pending());
                let mut first = Some(first);
                if dropped {
                    let gone = first.take();
                    assert!(contained(|| drop(gone)), "{what}: {call:?} in a drop");
                    release();
                    assert!(good.0.load(SeqCst) > 0, "{what}: {call:?} took the wake along");
                } else {
                    release();
                }
                release();
                let mut poll = |wait: &mut Wait<'a>| {
                    let mut polled = Poll::Pending;
                    let calm = contained(|| polled = wait.as_mut().poll(&mut context));
                    assert!(calm, "{what}: {call:?} when another waker came");
                    assert!(polled.is_ready(), "{what}: {call:?} lost a wake");
                };
                first.iter_mut().for_each(&mut poll);
                poll(&mut second);
                assert!(contained(move || drop((first, second))), "{what}: {call:?} in a drop");
                state.armed.store(false, SeqCst);
                drop(std::mem::ManuallyDrop::into_inner(bad));
                assert_eq!(Arc::strong_count(&state), 1, "{what}: {call:?} leaves a waker");
            }
        }
    }
}
