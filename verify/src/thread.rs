//! Replacements for `std::thread`.

use crate::engine::event::{Kind, Label, NO_LOC, Rmw};
use crate::engine::runtime;
use std::cell::UnsafeCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::Ordering;

pub use std::thread::panicking;

/// What a thread left behind.
struct Packet<T>(UnsafeCell<Option<T>>);

/// Waits for a thread of the model.
pub struct JoinHandle<T> {
    tid: u32,
    packet: Rc<Packet<T>>,
}

// SAFETY: all threads of a model run on one thread of the system.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> std::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.tid).finish_non_exhaustive()
    }
}

fn label(kind: Kind, a: u64, site: &'static Location<'static>) -> Label {
    Label { kind, rmw: Rmw::Swap, ord: Ordering::Relaxed, fail: Ordering::Relaxed, bits: 64, awaits: false, loc: NO_LOC, a, b: 0, site }
}

/// Starts a thread of the model.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    let site = Location::caller();
    let packet = Rc::new(Packet(UnsafeCell::new(None)));
    let theirs = packet.clone();
    let out = runtime::perform(label(Kind::Spawn, 0, site), None);
    let rt = runtime::current().expect("`perform` has checked it");
    // SAFETY: no other reference to the runtime is alive here.
    let tid = unsafe {
        (*rt).spawned(out.event, None, site, move || {
            let value = f();
            // SAFETY: the other side looks only after the join.
            unsafe { *theirs.0.get() = Some(value) };
        })
    };
    JoinHandle { tid, packet }
}

impl<T> JoinHandle<T> {
    /// Waits for the thread and takes its result.
    ///
    /// # Errors
    /// Never: a thread that panics fails the model.
    #[track_caller]
    pub fn join(self) -> std::thread::Result<T> {
        runtime::perform(label(Kind::Join, u64::from(self.tid), Location::caller()), None);
        // SAFETY: the thread has ended.
        Ok(unsafe { (*self.packet.0.get()).take() }.expect("a thread that has ended has left its result"))
    }
}

/// Lets other threads run.
#[track_caller]
pub fn yield_now() {}
