//! Replacements for `std::thread`.
//!
//! Threads of a model are coroutines: there may be as many as
//! [`Builder::max_threads`](crate::model::Builder::max_threads) says. A thread that panics fails
//! the model.

use crate::engine::memory_model::event::{Id, Kind, Label, Rmw};
use crate::engine::memory_model::event::{SPURIOUS, TIMEOUT};
use crate::engine::runtime;
use crate::engine::runtime::object::{self, Word};
use crate::engine::runtime::provenance;
use crate::engine::runtime::symmetry::{self, Shape};
use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[doc(no_inline)]
pub use std::thread::panicking;

/// Identifies a thread of an execution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ThreadId(u32);

#[derive(Debug)]
struct Handle {
    id: ThreadId,
    name: Option<String>,
    /// 1 when a thread has called `unpark`.
    token: Word,
}

/// A handle to a thread.
#[derive(Clone, Debug)]
pub struct Thread(Arc<Handle>);

impl Thread {
    /// Its id.
    pub fn id(&self) -> ThreadId {
        self.0.id
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Lets the thread's next, or current, [`park`] return.
    ///
    /// # Memory ordering
    /// What comes before it happens before that `park` returns.
    #[track_caller]
    pub fn unpark(&self) {
        self.0.token.attempt(Rmw::Swap, 1, 0, Ordering::Release, Location::caller());
    }
}

/// The data that the front end keeps with every thread.
struct Extra {
    thread: Thread,
    locals: RefCell<Vec<(usize, Rc<dyn Any>)>>,
    /// The thread's locals are being dropped.
    ending: Cell<bool>,
}

fn extra() -> Rc<Extra> {
    runtime::with(|rt| {
        let id = rt.cur();
        let slot = rt.extra();
        let any = slot.get_or_insert_with(|| {
            let handle = Handle { id: ThreadId(id), name: None, token: Word::new(0) };
            provenance::before_everything(|| {
                Box::new(Rc::new(Extra {
                    thread: Thread(Arc::new(handle)),
                    locals: RefCell::default(),
                    ending: Cell::new(false),
                }))
            })
        });
        any.downcast_ref::<Rc<Extra>>().expect("only this module sets it").clone()
    })
}

/// Drops the thread-locals of the current thread, which ends.
pub(crate) fn end() {
    symmetry::end();
    if runtime::with(|rt| rt.extra().is_none()) {
        return;
    }
    let extra = extra();
    loop {
        let Some(local) = extra.locals.borrow_mut().pop() else {
            break;
        };
        drop(local);
    }
    extra.ending.set(true);
}

/// The result that a thread leaves behind.
struct Packet<T>(UnsafeCell<Option<T>>);

/// Waits for a thread of the model.
pub struct JoinHandle<T> {
    tid: u32,
    thread: Thread,
    packet: Rc<Packet<T>>,
}

// SAFETY: all threads of a model run on one thread of the system.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: all threads of a model run on one thread of the system.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", self.thread()).finish_non_exhaustive()
    }
}

fn label(kind: Kind, a: u64, site: &'static Location<'static>) -> Label {
    Label { a, ..Label::new(kind, Rmw::Swap, Ordering::Relaxed, site) }
}

/// Starts a thread.
///
/// # Safety
/// What `f` borrows must live until the thread has ended.
unsafe fn start<'a, F: FnOnce() -> T + 'a, T: 'a>(
    f: F,
    name: Option<String>,
    shape: impl FnOnce(&F) -> Option<Shape>,
    site: &'static Location<'static>,
) -> JoinHandle<T> {
    let out = runtime::request_step(label(Kind::Spawn, 0, site), None);
    // The parts of a thread come before the thread, though it is allocated after the event.
    provenance::before_everything(|| {
        let shape = shape(&f);
        // SAFETY: the caller says that the borrows live long enough.
        unsafe { started(f, name, shape, site, out.event) }
    })
}

/// # Safety
///
/// All that `f` borrows lives until the thread has ended.
unsafe fn started<'a, T: 'a>(
    f: impl FnOnce() -> T + 'a,
    name: Option<String>,
    shape: Option<Shape>,
    site: &'static Location<'static>,
    spawn: Id,
) -> JoinHandle<T> {
    let packet = Rc::new(Packet(UnsafeCell::new(None)));
    let theirs = packet.clone();
    let rt = runtime::current().expect("`perform` has checked it");
    let body: Box<dyn FnOnce() + 'a> = Box::new(move || {
        let value = f();
        // SAFETY: the other side looks only after the join.
        unsafe { *theirs.0.get() = Some(value) };
        end();
    });
    // SAFETY: the caller says that the borrows live long enough.
    let body: Box<dyn FnOnce()> = unsafe { std::mem::transmute(body) };
    // SAFETY: no other reference to the runtime is alive here.
    let tid = unsafe { (*rt).spawned(spawn, name.clone(), site, shape, body) };
    let thread = Thread(Arc::new(Handle { id: ThreadId(tid), name, token: Word::new(0) }));
    let extra =
        Extra { thread: thread.clone(), locals: RefCell::default(), ending: Cell::new(false) };
    // SAFETY: no other reference to the runtime is alive here.
    unsafe { (*rt).set_extra(tid, Box::new(Rc::new(extra))) };
    JoinHandle { tid, thread, packet }
}

/// Starts a thread of the model.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    // SAFETY: `f` borrows nothing that ends.
    unsafe { start(f, None, Shape::of, Location::caller()) }
}

/// Starts a thread on behalf of the caller's place.
pub(crate) fn spawn_at<F: FnOnce() -> T + 'static, T: 'static>(
    f: F,
    site: &'static Location<'static>,
) -> JoinHandle<T> {
    // SAFETY: `f` borrows nothing that ends.
    unsafe { start(f, None, Shape::of, site) }
}

impl<T> JoinHandle<T> {
    /// Waits for all threads of the process whose first thread this is. Says whether it has left a
    /// result.
    #[track_caller]
    pub(crate) fn join_process(self) -> bool {
        let site = Location::caller();
        let mut left = vec![self.tid];
        while let Some(tid) = left.pop() {
            runtime::request_step(label(Kind::Join, u64::from(tid), site), None);
            // It has ended, so all that it has spawned are there.
            left.extend(runtime::with(|rt| rt.children(tid)));
        }
        // SAFETY: the thread has ended.
        unsafe { (*self.packet.0.get()).take() }.is_some()
    }

    /// Waits for the thread and takes its result.
    ///
    /// # Errors
    /// Never: a thread that panics fails the model.
    #[track_caller]
    pub fn join(self) -> std::thread::Result<T> {
        runtime::request_step(label(Kind::Join, u64::from(self.tid), Location::caller()), None);
        // SAFETY: the thread has ended.
        Ok(unsafe { (*self.packet.0.get()).take() }
            .expect("a thread that has ended has left its result"))
    }

    /// A handle to the thread.
    pub fn thread(&self) -> &Thread {
        symmetry::see(Some(self.tid));
        &self.thread
    }
}

/// A scope for threads that borrow; see [`scope`].
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    threads: RefCell<Vec<u32>>,
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// Waits for a thread of a scope.
pub struct ScopedJoinHandle<'scope, T> {
    inner: JoinHandle<T>,
    _scope: PhantomData<&'scope ()>,
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    /// Waits for the thread and takes its result.
    ///
    /// # Errors
    /// Never: a thread that panics fails the model.
    #[track_caller]
    pub fn join(self) -> std::thread::Result<T> {
        self.inner.join()
    }

    /// A handle to the thread.
    pub fn thread(&self) -> &Thread {
        &self.inner.thread
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread that may borrow what outlives the scope.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        // SAFETY: `scope` joins every thread before the borrows end.
        let inner = unsafe { start(f, None, |_| None, Location::caller()) };
        self.threads.borrow_mut().push(inner.tid);
        ScopedJoinHandle { inner, _scope: PhantomData }
    }
}

/// Runs `f` with a scope whose threads end before it returns.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let site = Location::caller();
    let scope = Scope { threads: RefCell::default(), _scope: PhantomData, _env: PhantomData };
    // A panic of `f` fails the model, and no thread runs on after it.
    let value = f(&scope);
    let threads = scope.threads.take();
    for tid in threads {
        runtime::request_step(label(Kind::Join, u64::from(tid), site), None);
    }
    value
}

/// Configures and starts a thread.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<String>,
}

impl Builder {
    /// The defaults.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the thread.
    #[must_use]
    pub fn name(mut self, name: String) -> Builder {
        self.name = Some(name);
        self
    }

    /// Accepted and ignored: see [`model::Builder::stack_size`](crate::model::Builder::stack_size).
    #[must_use]
    pub fn stack_size(self, _size: usize) -> Builder {
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// Never.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        // SAFETY: `f` borrows nothing that ends.
        Ok(unsafe { start(f, self.name, Shape::of, Location::caller()) })
    }

    /// Starts the thread in a scope.
    ///
    /// # Errors
    /// Never.
    #[track_caller]
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        // SAFETY: `scope` joins every thread before the borrows end.
        let inner = unsafe { start(f, self.name, |_| None, Location::caller()) };
        scope.threads.borrow_mut().push(inner.tid);
        Ok(ScopedJoinHandle { inner, _scope: PhantomData })
    }
}

/// A handle to the current thread.
pub fn current() -> Thread {
    symmetry::see(None);
    extra().thread.clone()
}

/// Sleeps until a thread has called [`Thread::unpark`], or wakes spuriously.
#[track_caller]
pub fn park() {
    let site = Location::caller();
    if object::choose(2, SPURIOUS, site) == 0 {
        extra().thread.0.token.wait(Rmw::Cas, 1, 0, Ordering::Acquire, site);
    }
}

/// As [`park`], and the time may run out.
#[track_caller]
pub fn park_timeout(dur: Duration) {
    let site = Location::caller();
    let token = &extra().thread.0.token;
    if object::choose(2, TIMEOUT, site) == 1
        || !token.wait_timed(Rmw::Cas, 1, 0, Ordering::Acquire, site)
    {
        crate::time::ran_out(dur, site);
        token.attempt(Rmw::Swap, 0, 0, Ordering::Acquire, site);
    }
}

/// Lets virtual time pass. It orders nothing.
#[track_caller]
pub fn sleep(dur: Duration) {
    crate::time::ran_out(dur, Location::caller());
    yield_now();
}

/// Says that the thread can only go on when another one has done something. See
/// [`hint::spin_loop`](crate::hint::spin_loop).
#[track_caller]
pub fn yield_now() {
    runtime::relax();
}

/// Returns the number of threads that run at once: two.
///
/// # Errors
/// Never.
pub fn available_parallelism() -> io::Result<std::num::NonZeroUsize> {
    Ok(const { std::num::NonZeroUsize::new(2).unwrap() })
}

/// A thread-local was used after it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the thread-local has been dropped")
    }
}

impl std::error::Error for AccessError {}

/// A thread-local value, made by [`thread_local!`](crate::thread_local).
#[doc(hidden)]
#[derive(Debug)]
pub struct LocalKey<T: 'static> {
    pub init: fn() -> T,
    pub _p: PhantomData<fn(T)>,
}

impl<T: 'static> LocalKey<T> {
    /// Calls `f` with the value of the current thread.
    ///
    /// # Panics
    /// When it has been dropped.
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        self.try_with(f)
            .expect("cannot access a Thread Local Storage value during or after destruction")
    }

    /// Calls `f` with the value of the current thread.
    ///
    /// # Errors
    /// When it has been dropped.
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        let extra = extra();
        let key = std::ptr::from_ref(self).addr();
        let find = || extra.locals.borrow().iter().find(|l| l.0 == key).map(|l| l.1.clone());
        let value = match find() {
            Some(value) => value,
            None if extra.ending.get() => return Err(AccessError(())),
            None => {
                let value: Rc<dyn Any> = Rc::new((self.init)());
                // The initialiser may have used the key itself.
                if let Some(theirs) = find() {
                    theirs
                } else {
                    extra.locals.borrow_mut().push((key, value.clone()));
                    value
                }
            }
        };
        Ok(f(value.downcast_ref::<T>().expect("the key is the address of one static")))
    }
}
