//! Tests that kill processes at random: the numbers, the watchdog, and what must not be left.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time without any progress after which a test hangs: no claim about speed.
const SILENCE: Duration = Duration::from_secs(60);

/// A number from the environment, or `default`.
pub(crate) fn setting(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// A generator of numbers (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Zero is the one state that it does not leave.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs `act`. If `progress` stays the same for a minute meanwhile, the place of each thread and
/// each child and the text of `stand` are printed, and the process is aborted.
pub(crate) fn watched<R>(
    progress: &AtomicU64,
    stand: impl Fn() -> String + Sync,
    act: impl FnOnce() -> R,
) -> R {
    let (running, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let stand = &stand;
        scope.spawn(move || {
            let mut seen = progress.load(Ordering::Relaxed);
            while ended.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                let now = progress.load(Ordering::Relaxed);
                if now == seen {
                    let places = places();
                    // Past the capture of the test's output, which an abort would lose.
                    let _ = writeln!(std::io::stderr(), "no progress:\n{}\n{places}", stand());
                    std::process::abort();
                }
                seen = now;
            }
        });
        // Dropped on every way out, by a panic too.
        let _running = running;
        act()
    })
}

/// The place of each thread of this process and of its children, by the system.
fn places() -> String {
    let mut text = String::new();
    let own = std::process::id();
    for pid in children_of(own).into_iter().chain([own]) {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let (name, state, place, call) =
                (read("comm"), read("stat"), read("wchan"), read("syscall"));
            let state = state.rsplit(") ").next().unwrap_or_default().get(..1).map(str::to_owned);
            text += &format!(
                "{pid} {:?} {} {}: {place} {}\n",
                thread.file_name(),
                name.trim(),
                state.unwrap_or_default(),
                call.trim()
            );
        }
    }
    text
}

/// The state and the parent of a process.
pub(crate) fn state_of(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// The children of a process, zombies among them.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("it is mounted").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| state_of(*pid).is_some_and(|(_, other)| other == parent);
    numbers.filter(is_child).collect()
}

/// The resources of this process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holdings {
    /// The kinds of its descriptors.
    descriptors: Vec<String>,
    /// The names of the memory files that it maps.
    mappings: Vec<String>,
    /// Its children, zombies among them, and the orphans that became its children.
    children: Vec<String>,
}

/// Makes this process the parent of its descendants whose own parents have ended, so that
/// [`holdings`] finds them.
pub(crate) fn adopt_orphans() {
    // SAFETY: sets a flag of this process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
}

/// The resources of this process now.
pub(crate) fn holdings() -> Holdings {
    let without_numbers = |text: &str| {
        text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<String>()
    };
    let descriptors = fs::read_dir("/proc/self/fd").expect("it is mounted").flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut descriptors: Vec<_> =
        links.map(|link| without_numbers(&link.to_string_lossy())).collect();
    descriptors.sort();
    let maps = fs::read_to_string("/proc/self/maps").expect("it is mounted");
    let files = maps.lines().filter_map(|line| line.split_once('/').map(|(_, file)| file));
    let mut mappings: Vec<_> = files
        .filter(|file| file.starts_with("memfd:") || file.starts_with("dev/shm"))
        .map(without_numbers)
        .collect();
    mappings.sort();
    let name = |pid: &u32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{} {:?}", comm.trim(), state_of(*pid).map(|(state, _)| state))
    };
    let children = children_of(std::process::id()).iter().map(name).collect();
    Holdings { descriptors, mappings, children }
}
