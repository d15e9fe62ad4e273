//! A model checker for concurrent Rust code: it runs a closure in every way in which the memory
//! model lets it run, and shows the one in which it goes wrong.
//!
//! It has [loom](https://docs.rs/loom)'s module paths and signatures, so
//! `loom = { package = "sync-verify", version = "0.1" }` runs a project's loom tests as they are.
//! Where loom is a dependency of a dependency, `[patch.crates-io]` with the package `verify/loom`
//! of the repository replaces it for the whole workspace.
//!
//! # From nothing to a found bug
//!
//! ```console
//! $ cargo new --lib handoff && cd handoff
//! $ cargo add --dev sync-verify
//! ```
//!
//! A value is handed from one thread to another: it is written, then a flag is raised. Put this
//! into `tests/handoff.rs`:
//!
//! ```should_panic
//! use std::sync::Arc;
//! use verify::cell::UnsafeCell;
//! use verify::sync::atomic::{AtomicBool, Ordering};
//!
//! struct Handoff {
//!     value: UnsafeCell<u32>,
//!     ready: AtomicBool,
//! }
//!
//! // Sound because the flag says who may touch the value. That is the claim to check.
//! unsafe impl Sync for Handoff {}
//!
//! # /*
//! #[test]
//! # */
//! fn hands_over() {
//!     verify::model(|| {
//!         let h = Arc::new(Handoff { value: UnsafeCell::new(0), ready: AtomicBool::new(false) });
//!         let theirs = h.clone();
//!         verify::thread::spawn(move || {
//!             // Sound because the flag is not raised yet.
//!             theirs.value.with_mut(|v| unsafe { *v = 42 });
//!             theirs.ready.store(true, Ordering::Relaxed);
//!         });
//!         if h.ready.load(Ordering::Acquire) {
//!             // Sound because the flag is raised.
//!             assert_eq!(h.value.with(|v| unsafe { *v }), 42);
//!         }
//!     });
//! }
//! # hands_over();
//! ```
//!
//! On x86 this test would pass for years if it were run with real threads. `cargo test` says:
//!
//! ```text
//! Causality violation: data race: a read of a cell that is written
//!   thread 1 at tests/handoff.rs:20:26
//!   thread 0 at tests/handoff.rs:25:32
//!   neither happens before the other
//!
//!                     0 main                            thread 1
//! #0   handoff.rs:18  spawn thread 1
//! #1   handoff.rs:21                                    store 1 Relaxed
//! #2   handoff.rs:23  load Acquire -> 1 from #1
//! thread 1 comes before thread 0 only by way of #1 -> #2, which does not synchronise:
//!   #1 is Relaxed and does not release (handoff.rs:21)
//! in tests/handoff.rs
//!
//! each of these alone would cure it:
//!   tests/handoff.rs:21:26: Store with Release in place of Relaxed
//!
//! to run exactly this execution: VERIFY_REPLAY=0c1,1wi,0r1
//! ```
//!
//! Make it `Release`, and the test passes: not in the runs that were tried but in all there are.
//!
//! # What a model is
//!
//! A closure, run again and again, that makes its own threads and shared objects out of this
//! crate's types. It has to do the same when the same happens to it: no real clock, no random
//! numbers (use [`choose`]), no threads of the system. Keep it small: two or three threads with a
//! handful of operations each show nearly every bug, and the number of executions grows fast.
//!
//! | of `std` | here |
//! |---|---|
//! | `sync::atomic`, `Arc`, `Mutex`, `RwLock`, `Condvar`, `Barrier`, `Once`, `OnceLock`, `LazyLock`, `mpsc` | [`sync`] |
//! | `thread`: `spawn`, `scope`, `park`, `Builder` | [`thread`] |
//! | `cell::UnsafeCell` | [`cell::UnsafeCell`], whose accesses are checked for races |
//! | `time::Instant` | [`time::Instant`], which passes where a thread waits |
//! | the futex system call | [`futex`] |
//! | a process that is killed | [`process`] |
//! | `thread_local!`, the `lazy_static` crate | [`thread_local!`], [`lazy_static!`] |
//!
//! [`Builder`](model::Builder) has the settings, [`linear`] checks histories against a sequential
//! specification, [`litmus`] answers what the memory model allows,
//! [`Builder::mutate`](model::Builder::mutate) reports which orderings nothing depends on.
//!
//! # Statics
//!
//! A static of one of this crate's types (an atomic, a lock, a `OnceLock`, a `LazyLock`, what
//! [`thread_local!`] and [`lazy_static!`] make) is a new object in every execution: its first user
//! finds what its constructor says. A `lazy_static!` is dropped when the main thread ends, the
//! others never, as in `std`. The value *inside* a static `Mutex`, `RwLock` or `UnsafeCell` is
//! ordinary memory, and so are statics of `std`'s types: they keep what the execution before has
//! left in them. A model whose behaviour depends on that is not deterministic, and is reported as
//! such.
//!
//! # What is found
//!
//! Panics; data races, also with the initialisation of an object; deadlocks and lost wake-ups;
//! loops that never end; `Arc`s, allocations and tracked values that are never freed; threads that
//! block in the system (a lock of `std`) or are none of the model's; models that are not
//! deterministic or pass a limit.
//!
//! Races with the initialisation are found by looking who allocates: a program with this crate in
//! it uses the system's allocator with a note of that. If it has an allocator of its own, take the
//! feature `allocator` away (`default-features = false`).
//!
//! | variable | what it does |
//! |---|---|
//! | `VERIFY_REPLAY=…` | runs one execution, that of the string; set it under a debugger |
//! | `VERIFY_HTML=page.html` | writes the counterexample as a page with arrows |
//! | `VERIFY_SUMMARY=runs.jsonl` | appends a line of JSON for each model |
//! | `VERIFY_PROGRESS=1` | prints how far it is, every five seconds |
//! | `VERIFY_WORKERS=0` | explores on all processors |
//! | `VERIFY_WEAK_FAILURES`, `VERIFY_SPURIOUS_WAKEUPS`, `VERIFY_EARLY_TIMEOUTS` | budgets of an execution, each 1 |
//! | `VERIFY_SYMMETRY=0` | explores executions that differ only in which of equal threads is which |
//! | `VERIFY_STUCK_SECONDS`, `VERIFY_MEMORY_MIB` | patience with a thread that makes no step or blocks in the system, in seconds of the processor or of sleep (20), the most memory (4096) |
//! | `LOOM_MAX_PREEMPTIONS`, `LOOM_MAX_BRANCHES`, `LOOM_MAX_PERMUTATIONS`, `LOOM_MAX_DURATION`, `LOOM_LOG` | as in loom |
//!
//! # How it works
//!
//! An execution is a graph: what each thread did, which write each read reads from, in which order
//! the writes of a location came. Interleavings that differ in nothing else are one execution. The
//! graphs are those of RC11 (Lahav et al., PLDI 2017) with the release sequences of C++20; they
//! are enumerated by TruSt (Kokologiannakis et al., POPL 2022), which comes to each of them once.
//! Of executions that differ only in which of some equal threads is which one is explored
//! ([`Builder::symmetry`](model::Builder::symmetry)).
//! To get from one graph to the next the closure is run from its start, its threads as coroutines.
//! The files of `src/engine` say more.
//!
//! # What it does not cover
//!
//! Load buffering (RC11 forbids it; the language does not), undefined behaviour other than data
//! races of checked cells. Memory that is freed is kept to the end of an execution: an access of a
//! checked object in it fails when it is run after the free. Weak failures, spurious
//! wake-ups, early timeouts, crashes and the idle rounds of spin loops are explored up to the
//! bounds of [`Builder`](model::Builder), which each report names.

pub use model::{choose, explore, model, skip_branch, stop_exploring};

/// loom's limit. Here [`Builder::max_threads`](model::Builder) is one that a model may raise.
pub const MAX_THREADS: usize = 5;

pub mod alloc;
pub mod cell;
mod engine;
pub mod futex;
pub mod future;
pub mod hint;
pub mod lazy_static;
pub mod linear;
pub mod litmus;
mod macros;
pub mod model;
pub mod process;
pub mod sync;
pub mod thread;
pub mod time;
