//! Lists the threads of this process that wait at this moment: which thread, in which call of which
//! type, where in the program, and for how long (feature `waits`). Java's thread dump and Go's
//! goroutine dump, for the waits of these crates: locks, queues, pools, timers, and those between
//! processes.
//!
//! ```
//! use sync_core::{Event, thread, waits};
//!
//! let door = Event::new();
//! thread::scope(|scope| {
//!     thread::Builder::new().name("visitor").spawn_scoped(scope, || door.wait()).unwrap();
//!     let visitor = loop {
//!         let mut waiting = waits::waiting().into_iter();
//!         if let Some(found) = waiting.find(|wait| wait.thread_name() == Some("visitor")) {
//!             break found;
//!         }
//!     };
//!     waits::print(); // the same for a human, on standard error
//!     door.set();
//!     println!("{} was called at {:?}", visitor.call(), visitor.place());
//! });
//! ```
//!
//! A program calls [`print()`] where it thinks that it hangs: in a watchdog, or on a signal. With
//! the feature `sigquit` [`print_on_sigquit`] does the latter.
//!
//! Each wait that sleeps records its stack, which takes some microseconds and allocates: a global
//! allocator that waits for these locks is not listed, and must not be what the feature is used on
//! in production. A wait that ends while it still spins is not seen. Tasks that await are not
//! threads, and are not listed. Without debug information the place of a call is missing, and the
//! names are those of the functions that were not inlined.
//!
//! The child of a fork lists its own waits, without stacks: `std` captures them behind a lock that
//! a thread of the parent may have held at the fork. A program that the child executes has them
//! again.
//!
//! Without the feature the waits are compiled as if this module did not exist.

use core::fmt;
use core::time::Duration;
use std::backtrace::Backtrace;
#[cfg(all(unix, feature = "sigquit"))]
use std::io;
use std::time::Instant;

use crate::diagnostics::std_locks;
use crate::futex::sleepers::{self, Sleeper};

/// A thread that waits.
#[derive(Clone)]
pub struct Waiting {
    sleeper: Sleeper,
    waited: Duration,
    call: String,
    caller: Option<String>,
    place: Option<String>,
}

impl Waiting {
    fn new(sleeper: Sleeper, now: Instant) -> Self {
        let waited = now.saturating_duration_since(sleeper.since);
        let frames = frames(&sleeper.backtrace);
        let Story { call, caller, place } = Story::of(&frames);
        Self { sleeper, waited, call, caller, place }
    }

    /// Returns the name of the thread, as it was when the thread was started.
    #[must_use]
    pub fn thread_name(&self) -> Option<&str> {
        self.sleeper.thread.name()
    }

    /// Returns `std`'s number of the thread.
    #[must_use]
    pub fn thread_id(&self) -> std::thread::ThreadId {
        self.sleeper.thread.id()
    }

    /// Returns the system's number of the thread, as its tools show it; `None` where it has none.
    #[must_use]
    pub fn native_id(&self) -> Option<u32> {
        Some(self.sleeper.native_id).filter(|&id| id != 0)
    }

    /// Returns an address inside the object that the thread waits for. Threads with the same
    /// address wait for the same object.
    #[must_use]
    pub fn address(&self) -> usize {
        self.sleeper.address
    }

    /// Returns how long the thread has slept. A wait that is woken and sleeps again counts from the
    /// last time.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns whether the sleep ends by itself.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.sleeper.timed
    }

    /// Returns the call that waits: the outermost function of these crates that was not inlined,
    /// like `sync_core::wait::event::Event::wait`. Empty in the child of a fork.
    #[must_use]
    pub fn call(&self) -> &str {
        &self.call
    }

    /// Returns the function that made the call, if it is not in these crates.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.caller.as_deref()
    }

    /// Returns the place of the call, as `file:line:column`, where the debug information has it.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Returns the whole stack.
    pub fn backtrace(&self) -> &Backtrace {
        &self.sleeper.backtrace
    }
}

/// `"worker" (17) waits for 1.5s in sync_core::wait::event::Event::wait (0x7ffe...), called by
/// program::work at src/main.rs:3:20`.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.thread_name() {
            Some(name) => write!(f, "{name:?}")?,
            None => write!(f, "{:?}", self.thread_id())?,
        }
        if let Some(id) = self.native_id() {
            write!(f, " ({id})")?;
        }
        let timed = if self.is_timed() { ", at most for a time," } else { "" };
        write!(f, " waits for {:.1?}{timed} in {}", self.waited, self.call)?;
        write!(f, " ({:#x})", self.address())?;
        if let Some(caller) = &self.caller {
            write!(f, ", called by {caller}")?;
        }
        if let Some(place) = &self.place {
            write!(f, " at {place}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("thread", &self.thread_name())
            .field("waited", &self.waited)
            .field("call", &self.call)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Returns the threads that wait at this moment, the longest wait first. A snapshot: a wait may
/// have ended before the call returns.
#[must_use]
pub fn waiting() -> Vec<Waiting> {
    let mut sleepers = sleepers::sleepers();
    sleepers.sort_by_key(|sleeper| sleeper.since);
    // The stacks are read after the list was copied: that takes long.
    let now = Instant::now();
    sleepers.into_iter().map(|sleeper| Waiting::new(sleeper, now)).collect()
}

/// Writes a line for each thread that waits to standard error. An error of the writing is ignored.
pub fn print() {
    let waiting = waiting();
    let mut text = format!("{} threads wait:\n", waiting.len());
    for waiting in waiting {
        text += &format!("  {waiting}\n");
    }
    std_locks::print(&text);
}

/// Starts a thread that calls [`print()`] whenever the process gets SIGQUIT (Ctrl-\ in a terminal):
/// the process goes on, as Java's does, instead of dying. A second call changes nothing.
///
/// In the handler of the signal only a byte is written into a pipe: no lock is taken there, so the
/// signal may come at any moment. The child of a `fork` inherits the handler and the pipe, but not
/// the thread: its parent prints, until the child calls this itself.
///
/// ```no_run
/// sync_core::waits::print_on_sigquit()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// If the system refuses the thread or the handler.
#[cfg(all(unix, feature = "sigquit"))]
pub fn print_on_sigquit() -> io::Result<()> {
    use std::sync::{Mutex, PoisonError};

    use signal_hook::consts::SIGQUIT;
    use signal_hook::iterator::Signals;

    use crate::fork::PerProcess;

    /// Whether the thread was started, in this process.
    static STARTED: PerProcess<Mutex<bool>> = PerProcess::new();

    let started = STARTED.get(|_| Mutex::new(false));
    let mut started = started.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        // The handler writes a byte into a pipe, which is allowed in a handler; the thread does
        // the rest.
        let mut signals = Signals::new([SIGQUIT])?;
        std::thread::Builder::new()
            .name("waits".into())
            .spawn(move || signals.forever().for_each(|_| print()))?;
        *started = true;
    }
    Ok(())
}

/// A function on a stack, and its place if that is known.
#[derive(Debug, PartialEq)]
struct Frame<'a> {
    function: &'a str,
    place: Option<&'a str>,
}

/// The call that waits, the function that made it, and the place.
#[derive(Debug, Default, PartialEq)]
struct Story {
    call: String,
    caller: Option<String>,
    place: Option<String>,
}

/// Reads the text of a backtrace, which is the only form that is stable.
fn frames(backtrace: &Backtrace) -> Vec<(String, Option<String>)> {
    let text = backtrace.to_string();
    read(&text)
        .into_iter()
        .map(|Frame { function, place }| (function.to_owned(), place.map(str::to_owned)))
        .collect()
}

fn read(text: &str) -> Vec<Frame<'_>> {
    let mut frames: Vec<Frame<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                frame.place = Some(place);
            }
        } else if let Some((number, function)) = line.split_once(": ") {
            if number.parse::<u32>().is_ok() {
                frames.push(Frame { function, place: None });
            }
        }
    }
    frames
}

impl Story {
    fn of(frames: &[(String, Option<String>)]) -> Self {
        let mut story = Self::default();
        for (function, place) in frames {
            match Origin::of(function) {
                Origin::Ours => story.call.clone_from(function),
                Origin::Language => {}
                Origin::Program if story.call.is_empty() => {}
                Origin::Program => {
                    story.caller = Some(function.clone());
                    story.place.clone_from(place);
                    break;
                }
            }
        }
        story
    }
}

/// Which code a function belongs to.
enum Origin {
    Ours,
    Language,
    Program,
}

impl Origin {
    fn of(function: &str) -> Self {
        const OURS: [&str; 4] = ["sync_core::", "sync_queue::", "sync_timer::", "sync_ipc::"];
        const LANGUAGE: [&str; 8] =
            ["std::", "core::", "alloc::", "__rust", "rust_", "start_thread", "clone", "_start"];
        let path = function.trim_start_matches(['<', '&']);
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        if starts(&OURS) {
            Self::Ours
        } else if starts(&LANGUAGE) {
            Self::Language
        } else {
            Self::Program
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "   0: std::backtrace::Backtrace::force_capture
             at /rustc/abc/library/std/src/backtrace.rs:312:9
   1: sync_core::futex::sleepers::Entry::new
             at ./src/futex/sleepers.rs:70:1
   2: sync_queue::queue::Queue<T>::get
   3: core::ops::function::FnOnce::call_once
   4: program::work::{{closure}}
             at ./src/main.rs:3:20
   5: sync_queue::pool::worker::run
";

    #[test]
    fn a_stack_is_read() {
        let frames = read(TEXT);
        assert_eq!(frames.len(), 6);
        assert_eq!(frames[2], Frame { function: "sync_queue::queue::Queue<T>::get", place: None });
        assert_eq!(frames[4].place, Some("./src/main.rs:3:20"));
    }

    #[test]
    fn the_call_is_the_outermost_of_ours_before_the_program() {
        let frames: Vec<_> = read(TEXT)
            .into_iter()
            .map(|frame| (frame.function.to_owned(), frame.place.map(str::to_owned)))
            .collect();
        let story = Story::of(&frames);
        assert_eq!(story.call, "sync_queue::queue::Queue<T>::get");
        assert_eq!(story.caller.as_deref(), Some("program::work::{{closure}}"));
        assert_eq!(story.place.as_deref(), Some("./src/main.rs:3:20"));
        let own = Story::of(&frames[5..]);
        assert_eq!((own.call.as_str(), own.place), ("sync_queue::pool::worker::run", None));
    }
}
