//! Descriptors and tasks that wait for queues, events and semaphores.
//!
//! An object in shared memory has no descriptor and knows no tasks. A helper thread waits for it as
//! any waiter does, with bounded sleeps, and then writes to an `eventfd` and wakes the tasks. It
//! takes nothing out of the object: a permit, an item or a wake that it was given goes to the next
//! waiter.
//!
//! One helper waits for up to 127 objects: `futex_waitv` sleeps on the words of all of them, and on
//! a word of the helper's own, its bell. Without that system call each object has a helper of its
//! own, which sleeps on the object's word, or on its bell while it has nothing to watch.
//!
//! **States of a watch**: WATCHING (the helper waits for the object) → READY (it was reported, the
//! helper leaves the object alone until `rearm`) → WATCHING; ENDED (dropped; the helper removes it
//! at its next turn).
//!
//! **Invariants**
//!
//! 1. A watch that is in the list of a helper has a running thread: `running` is set under the lock
//!    under which the watch is added, and cleared by the thread itself, under the lock, when there
//!    is no watch.
//! 2. A helper reads its bell before it reads the states of its watches, and sleeps only while the
//!    bell has that value. A change of a state (`rearm`, an end, a new watch) rings afterwards, so
//!    it is seen or ends the sleep. (A helper of a single object that sleeps on the object's word
//!    sees it when its bound ends.)
//! 3. The object is used by the helper alone, and dropped by it: a wake that reaches the helper
//!    while it sleeps is passed on after the sleep. The object holds no name. The watch does, so a
//!    program that has dropped everything holds no name, whenever the helper has its next turn.
//! 4. A future that waits has at most one waker in the list of its watch, and takes it away when it
//!    is dropped.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use sync_core::Mutex;
use sync_core::fork::{self, PerProcess, ProcessMark};
use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::{self, Deadline, shared};

use crate::error::OrIo;
use crate::raw::LAST_BOUND;
use crate::segment::Segment;

/// The time for which a helper without objects waits for another one.
const LINGER: Duration = Duration::from_millis(500);

/// An object as a helper waits for it. Its handle of the segment is a [`Segment::nameless`] one.
pub(crate) trait Watched: Send {
    /// The word to sleep on.
    fn word(&self) -> &AtomicU32;

    /// Looks whether the object is ready; with `look`, also at what the dead left.
    ///
    /// # Errors
    ///
    /// It is not, and a waiter is announced: sleep while the word has this value.
    fn watch(&mut self, look: bool) -> Result<(), u32>;

    /// Stops waiting for it.
    fn unwatch(&mut self);
}

/// A descriptor that is readable when a queue, an event or a semaphore may have something: from
/// [`Queue::readiness`](crate::Queue::readiness) and its likes.
///
/// "May": another process can be faster. So wait for the descriptor, take what is there by the
/// object's `try_` operations until they find nothing, call [`rearm`](Self::rearm), and wait again.
/// What came meanwhile makes the descriptor readable again at once.
///
/// ```
/// use sync_ipc::{Queue, Segment, wait};
/// use std::os::fd::AsFd;
///
/// let segment = Segment::anonymous(4096)?;
/// let jobs = Queue::<u32>::create(&segment, "jobs", 4)?;
/// let ready = jobs.readiness()?;
/// let (other, _end) = sync_ipc::pipe()?;
/// jobs.send(7)?;
/// // Next to a connection, a socket or a pidfd, and in any other event loop.
/// assert_eq!(wait(&[other.as_fd(), ready.as_fd()], None)?, [1]);
/// while let Ok(job) = jobs.try_recv() {
///     assert_eq!(job, 7);
/// }
/// ready.rearm();
/// # Ok::<(), sync_ipc::Error>(())
/// ```
///
/// In `async` code, [`ready`](Self::ready) takes the place of the descriptor. It needs no runtime,
/// and a future that is dropped loses nothing.
///
/// It costs a descriptor. One thread of the process waits for all objects that are watched, and
/// for all tasks (`get_async`, `acquire_async`, `wait_async`); it starts with the first of them and
/// ends when it has had none for a while. It can sleep on 127 objects at once; beyond them there is
/// another thread. Where the system lets a thread sleep on one object only (Linux before 5.16), it
/// is a thread for each object. A forked child's copy is never rearmed: the thread is its parent's.
///
/// Wakers are called on that thread: one that blocks holds up all other tasks. A wait that was
/// dropped counts until the thread's next turn.
pub struct Readiness {
    watch: Watch,
}

/// An object that a helper watches for this process. Dropping it ends that.
struct Watch {
    entry: Arc<Entry>,
    mark: ProcessMark,
    /// Holds the segment's name, which the object does not (invariant 3).
    _segment: Segment,
}

struct Entry {
    /// None: for a task alone.
    descriptor: Option<OwnedFd>,
    state: Mutex<State>,
    helper: Arc<Helper>,
}

struct State {
    phase: Phase,
    /// The waiting futures, by their keys (invariant 4).
    wakers: Vec<(u64, Waker)>,
    /// The key of the next future.
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Watching,
    Ready,
    Ended,
}

/// The helpers of this process.
static HELPERS: PerProcess<Helpers> = PerProcess::new();

struct Helpers {
    /// The most objects of one helper.
    capacity: usize,
    all: Mutex<Vec<Arc<Helper>>>,
}

impl Helpers {
    fn new() -> Self {
        // A call that does not sleep: the word has another value.
        let probe = AtomicU32::new(0);
        let many = shared::wait_many((&probe, 1), &[], None);
        Self::with_capacity(if many { shared::MOST_WORDS - 1 } else { 1 })
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { capacity, all: Mutex::new(Vec::new()) }
    }

    /// Starts to watch an object.
    fn watch(
        &self,
        segment: Segment,
        object: Box<dyn Watched>,
        descriptor: Option<OwnedFd>,
    ) -> io::Result<Watch> {
        let entry = self.add(object, descriptor)?;
        Ok(Watch { entry, mark: ProcessMark::current(), _segment: segment })
    }

    /// Gives an object to a helper.
    fn add(&self, object: Box<dyn Watched>, descriptor: Option<OwnedFd>) -> io::Result<Arc<Entry>> {
        let mut all = self.all.lock();
        for helper in all.iter() {
            let mut members = helper.members.lock();
            if members.count < self.capacity {
                return helper.add(&mut members, object, descriptor);
            }
        }
        let helper = Arc::new(Helper {
            many: self.capacity > 1,
            bell: AtomicU32::new(0),
            members: Mutex::new(Members { count: 0, running: false, new: Vec::new() }),
        });
        all.push(Arc::clone(&helper));
        let mut members = helper.members.lock();
        helper.add(&mut members, object, descriptor)
    }
}

/// A thread that waits for objects.
struct Helper {
    /// It can sleep on several words.
    many: bool,
    bell: AtomicU32,
    members: Mutex<Members>,
}

struct Members {
    /// The number of watches, the new ones included.
    count: usize,
    /// The thread runs (invariant 1).
    running: bool,
    new: Vec<Member>,
}

/// A watch, and the object, which is the helper's own (invariant 3).
struct Member {
    entry: Arc<Entry>,
    object: Box<dyn Watched>,
}

impl Helper {
    /// Adds a watch, and starts the thread if there is none.
    fn add(
        self: &Arc<Self>,
        members: &mut Members,
        object: Box<dyn Watched>,
        descriptor: Option<OwnedFd>,
    ) -> io::Result<Arc<Entry>> {
        if !members.running {
            let ours = Arc::clone(self);
            let thread = thread::Builder::new().name("sync-ipc-ready".into());
            // The wakers are user code, which may fork, and needs a stack of the usual size.
            thread.spawn(fork::thread_body(move || ours.serve()))?;
            members.running = true;
        }
        let state = Mutex::new(State { phase: Phase::Watching, wakers: Vec::new(), next: 0 });
        let entry = Arc::new(Entry { descriptor, state, helper: Arc::clone(self) });
        members.new.push(Member { entry: Arc::clone(&entry), object });
        members.count += 1;
        self.ring();
        Ok(entry)
    }

    /// Ends the sleep of the thread (invariant 2).
    fn ring(&self) {
        // Release: pairs with the Acquire in `serve`. (The locks order the states anyway.)
        self.bell.fetch_add(1, Ordering::Release);
        futex::wake_one(&raw const self.bell);
    }

    /// The thread.
    fn serve(&self) {
        let mark = ProcessMark::current();
        let mut watched: Vec<Member> = Vec::new();
        let mut looked = Instant::now();
        let mut idle_since = None;
        loop {
            // Acquire: pairs with the Release in `ring`.
            let bell = self.bell.load(Ordering::Acquire);
            {
                let mut members = self.members.lock();
                watched.append(&mut members.new);
                if watched.is_empty() {
                    let idle = idle_since.get_or_insert_with(Instant::now).elapsed();
                    if idle >= LINGER {
                        members.running = false;
                        return;
                    }
                } else {
                    idle_since = None;
                }
            }
            let look = looked.elapsed() >= LAST_BOUND;
            if look {
                looked = Instant::now();
            }
            let before = watched.len();
            watched.retain_mut(|member| {
                let ended = member.entry.phase() == Phase::Ended;
                if ended {
                    member.object.unwatch();
                }
                !ended
            });
            if watched.len() < before {
                // A watch that has ended makes room for another one.
                self.members.lock().count -= before - watched.len();
            }
            let no_object = watched.is_empty();
            let mut sleeps = Vec::new();
            for member in &mut watched {
                if member.entry.phase() == Phase::Watching {
                    match member.object.watch(look) {
                        Ok(()) => member.entry.report(),
                        Err(expected) => sleeps.push((member.object.word(), expected)),
                    }
                    if !mark.is_current() {
                        // A waker has forked. The watches are the parent's.
                        return;
                    }
                }
            }
            let bound = match (no_object, sleeps.is_empty()) {
                (true, _) => Some(LINGER),
                // All were reported: the next turn begins with a ring.
                (false, true) => None,
                (false, false) => Some(LAST_BOUND.saturating_sub(looked.elapsed())),
            };
            self.sleep(bell, &sleeps, bound.and_then(Deadline::after));
        }
    }

    /// Sleeps until the bell rings, a word changes, or the deadline.
    fn sleep(&self, bell: u32, words: &[(&AtomicU32, u32)], deadline: Option<Deadline>) {
        match words {
            [] => _ = futex::wait_maybe(&self.bell, bell, deadline),
            [(word, expected)] if !self.many => _ = shared::wait_maybe(word, *expected, deadline),
            _ => {
                if !shared::wait_many((&self.bell, bell), words, deadline) {
                    // It worked when the helper was made: too little memory, perhaps. The bound is
                    // short, and then there is another look.
                    futex::wait_maybe(&self.bell, bell, Deadline::after(Duration::from_millis(1)));
                }
            }
        }
    }
}

impl Entry {
    fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// The object is ready.
    fn report(&self) {
        let mut state = self.state.lock();
        if state.phase != Phase::Watching {
            return;
        }
        state.phase = Phase::Ready;
        if let Some(descriptor) = &self.descriptor {
            // There is room for one more: the number is 0.
            let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
        }
        let wakers = core::mem::take(&mut state.wakers);
        drop(state);
        for (_, waker) in wakers {
            // User code, which ends where it runs.
            sync_core::user_code::run_and_forget_panic(|| waker.wake());
        }
    }
}

/// Waits as a task until the object is ready. The caller then tries to take what is there, and
/// another waiter can be faster.
///
/// # Errors
///
/// If the system has no thread.
pub(crate) async fn once<W: Watched + 'static>(
    segment: &Segment,
    object: impl Fn() -> W,
) -> io::Result<()> {
    loop {
        let helpers = HELPERS.get(|_| Helpers::new());
        let watch = helpers.watch(segment.clone(), Box::new(object()), None)?;
        Ready::new(&watch).await;
        if watch.mark.is_current() {
            return Ok(());
        }
        // A child that was forked meanwhile watches by itself.
    }
}

impl Readiness {
    /// Starts to watch an object, with a descriptor.
    pub(crate) fn new(segment: &Segment, object: impl Watched + 'static) -> io::Result<Self> {
        Self::among(HELPERS.get(|_| Helpers::new()), segment, Box::new(object))
    }

    fn among(helpers: &Helpers, segment: &Segment, object: Box<dyn Watched>) -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).or_io()?;
        Ok(Self { watch: helpers.watch(segment.clone(), object, Some(descriptor))? })
    }

    /// Makes the descriptor unreadable until the object is ready, or is so still.
    ///
    /// Does nothing in a forked child.
    pub fn rearm(&self) {
        if !self.watch.mark.is_current() {
            return;
        }
        let entry = &self.watch.entry;
        let mut state = entry.state.lock();
        if state.phase == Phase::Ready {
            // Under the lock, so that no later report is taken away. The number is 1.
            let _ = rustix::io::read(self.descriptor(), &mut [0; 8]);
            state.phase = Phase::Watching;
            drop(state);
            entry.helper.ring();
        }
    }

    /// Waits until the descriptor is readable. Take what is there, [`rearm`](Self::rearm), and wait
    /// again.
    ///
    /// In a forked child it is ready at once.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + '_ {
        Ready::new(&self.watch)
    }

    fn descriptor(&self) -> &OwnedFd {
        match &self.watch.entry.descriptor {
            Some(descriptor) => descriptor,
            None => unreachable!("`among` made it with a descriptor"),
        }
    }
}

struct Ready<'a> {
    watch: &'a Watch,
    /// The key of our waker, which may be taken by now.
    key: Option<u64>,
}

impl<'a> Ready<'a> {
    fn new(watch: &'a Watch) -> Self {
        Self { watch, key: None }
    }
}

impl Future for Ready<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let watch = self.watch;
        if !watch.mark.is_current() {
            return Poll::Ready(());
        }
        let waker = context.waker();
        let ours = |wakers: &[(u64, Waker)]| {
            self.key.and_then(|key| wakers.iter().position(|(other, _)| *other == key))
        };
        let state = watch.entry.state.lock();
        if state.phase != Phase::Watching {
            return Poll::Ready(());
        }
        if ours(&state.wakers).is_some_and(|at| state.wakers[at].1.will_wake(waker)) {
            return Poll::Pending;
        }
        // User code runs without the lock.
        drop(state);
        let waker = waker.clone();
        let mut state = watch.entry.state.lock();
        if state.phase != Phase::Watching {
            drop(state);
            sync_core::user_code::dispose(waker);
            return Poll::Ready(());
        }
        if let Some(at) = ours(&state.wakers) {
            let former = core::mem::replace(&mut state.wakers[at].1, waker);
            drop(state);
            sync_core::user_code::dispose(former);
        } else {
            let key = state.next;
            state.next += 1;
            state.wakers.push((key, waker));
            drop(state);
            self.key = Some(key);
        }
        Poll::Pending
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key.filter(|_| self.watch.mark.is_current()) else { return };
        let mut state = self.watch.entry.state.lock();
        let at = state.wakers.iter().position(|(other, _)| *other == key);
        let waker = at.map(|at| state.wakers.swap_remove(at));
        drop(state);
        sync_core::user_code::dispose(waker);
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor().as_fd()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.mark.is_current() {
            let entry = &self.entry;
            let wakers = {
                let mut state = entry.state.lock();
                state.phase = Phase::Ended;
                core::mem::take(&mut state.wakers)
            };
            entry.helper.ring();
            sync_core::user_code::dispose(wakers);
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("fd", self.descriptor()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Queue, Segment, wait};

    fn becomes_ready(ready: &Readiness) {
        assert!(!wait(&[ready.as_fd()], None).unwrap().is_empty());
    }

    /// The helpers of systems without `futex_waitv`.
    #[test]
    fn a_thread_for_each_object_where_a_thread_sleeps_on_one() {
        let helpers = Helpers::with_capacity(1);
        let segment = Segment::anonymous(1 << 16).unwrap();
        let jobs = Queue::<u32>::create(&segment, "jobs", 4).unwrap();
        let event = Event::create(&segment, "event").unwrap();
        let (item, set) = (jobs.watched(), event.watched());
        let item = Readiness::among(&helpers, &segment, Box::new(item)).unwrap();
        let set = Readiness::among(&helpers, &segment, Box::new(set)).unwrap();
        assert_eq!(helpers.all.lock().len(), 2);
        for round in 0..20 {
            thread::scope(|scope| {
                scope.spawn(|| jobs.put(round).unwrap());
                becomes_ready(&item);
            });
            assert_eq!(jobs.try_get(), Ok(round));
            item.rearm();
        }
        event.set();
        becomes_ready(&set);
        drop((item, set));
        // The places of both are free again.
        let free = || helpers.all.lock().iter().all(|helper| helper.members.lock().count == 0);
        while !free() {
            thread::yield_now();
        }
        let again = Readiness::among(&helpers, &segment, Box::new(event.watched())).unwrap();
        becomes_ready(&again);
        assert_eq!(helpers.all.lock().len(), 2);
    }
}
