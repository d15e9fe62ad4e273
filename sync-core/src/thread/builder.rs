//! Configures and starts threads.

use core::mem;
use std::panic::resume_unwind;
use std::sync::Arc;

use super::error::SpawnError;
use super::handle::{JoinHandle, Outcome, Packet, Panic, Unseen};
use super::hook;
use super::record::{Thread, current};
use crate::fork;
use crate::primitive::thread;
use crate::user_code;

/// Configures and starts a thread.
///
/// ```
/// let builder = sync_core::thread::Builder::new().name("reader").daemon(true);
/// let thread = builder.stack_size(256 * 1024).spawn(|| 1).unwrap();
/// assert_eq!(&*thread.name(), "reader");
/// assert!(thread.is_daemon());
/// assert_eq!(thread.join(), Ok(&1));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until `spawn`"]
pub struct Builder {
    name: Option<String>,
    stack_size: usize,
    daemon: Option<bool>,
}

impl Builder {
    /// The smallest stack size that may be set, in bytes.
    pub const MIN_STACK_SIZE: usize = 32 * 1024;

    /// Creates a builder of a thread with a name like `Thread-1`, a stack of the usual size, and
    /// the daemon flag of the thread that starts it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the thread. The system's tools may show the beginning of the name only: 15 bytes on
    /// Linux, and nothing after a zero byte.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the size of the stack in bytes; 0 means the usual one.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// Makes the thread a daemon, for which no [`Group`](super::Group) waits, or not.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] if the system refuses, or the stack is smaller than
    /// [`MIN_STACK_SIZE`](Self::MIN_STACK_SIZE) or larger than memory can be. Then nothing of the
    /// thread is left, and `body` was dropped and not run; a panic of its `Drop` reaches the
    /// caller.
    ///
    /// A thread starts only once, because this call consumes the builder:
    ///
    /// ```compile_fail,E0382
    /// let builder = sync_core::thread::Builder::new();
    /// builder.spawn(|| ());
    /// builder.spawn(|| ());
    /// ```
    #[doc(alias = "start")]
    pub fn spawn<F, T>(self, body: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_known(body, |_| Ok(()))
    }

    /// Starts a thread, after `announce` was called with it.
    pub(super) fn spawn_known<F, T>(
        self,
        body: F,
        announce: impl FnOnce(&Thread) -> Result<(), SpawnError>,
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: `body` and its result borrow nothing.
        unsafe { self.spawn_unchecked(body, announce, None) }
    }

    /// Starts a thread whose closure and result may borrow, after `announce` was called with it.
    /// `unseen` gets the panic that ends the thread, if one does.
    ///
    /// # Safety
    ///
    /// Everything that `body` and `T` borrow lives until the thread's event is set.
    pub(super) unsafe fn spawn_unchecked<'a, F, T>(
        self,
        body: F,
        announce: impl FnOnce(&Thread) -> Result<(), SpawnError>,
        unseen: Option<Unseen>,
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'a,
        T: Send + 'a,
    {
        /// The largest size that `std` can round up without an overflow.
        const LARGEST: usize = isize::MAX as usize;
        if self.stack_size != 0 && !(Self::MIN_STACK_SIZE..=LARGEST).contains(&self.stack_size) {
            return Err(SpawnError::StackSize(self.stack_size));
        }
        let record = Thread::new(self.name, self.daemon.unwrap_or_else(|| current().is_daemon()));
        announce(&record)?;
        let packet = Arc::new(Packet::new());
        let mut system = thread::Builder::new();
        if let Some(name) = record.name().split('\0').next() {
            system = system.name(name.to_owned());
        }
        if self.stack_size != 0 {
            system = system.stack_size(self.stack_size);
        }
        record.register();
        let handle = JoinHandle::new(record.clone(), Arc::clone(&packet));
        let theirs = record.clone();
        let life: Box<dyn FnOnce() + Send + 'a> =
            Box::new(fork::thread_body(move || run(&theirs, packet, body, unseen)));
        // SAFETY: only the lifetime changes. The closure is consumed by its call, or dropped below
        // if the system refuses; in the call all that borrows is gone before the thread's event is
        // set (`run`), and until then it lives (the caller's promise).
        let life = unsafe {
            mem::transmute::<Box<dyn FnOnce() + Send + 'a>, Box<dyn FnOnce() + Send + 'static>>(
                life,
            )
        };
        // If the system refuses, `std` drops `body`, which is user code and may panic.
        match user_code::run(|| system.spawn(life)) {
            // Detached: a join waits for the record's event.
            Ok(Ok(_)) => Ok(handle),
            Ok(Err(error)) => {
                // Invariant 3 of the module; a group that contains it does not wait.
                record.finish();
                Err(SpawnError::System(error))
            }
            Err(payload) => {
                record.finish();
                resume_unwind(payload)
            }
        }
    }
}

/// The life of a thread. Nothing unwinds between its steps: whatever user code does, the outcome is
/// written and the joins return. `body`, its result (unless a handle has it) and a panic are gone
/// when the event is set.
fn run<F: FnOnce() -> T, T>(
    record: &Thread,
    packet: Arc<Packet<T>>,
    body: F,
    unseen: Option<Unseen>,
) {
    record.begin_current();
    // Threads that share data with `body` see the data that its panic left, as with `std`'s
    // threads. It is dropped when it returns.
    let outcome = match user_code::run(body) {
        Ok(value) => Outcome::Returned(value),
        Err(payload) => {
            let message = user_code::message(&*payload).into();
            hook::report(record, &message, &*payload);
            let panic = Panic::new(message, payload);
            if let Some(unseen) = unseen {
                unseen.add(&panic);
            }
            Outcome::Panicked(panic)
        }
    };
    // SAFETY: this is the thread, and its event is set after this.
    unsafe { packet.put(outcome) };
    // Given up before the event is set, so that the joiner with the last handle can have the value.
    // If there is no handle, the value is dropped here: user code.
    user_code::dispose(packet);
    record.finish();
}
