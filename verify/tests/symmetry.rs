//! Threads that run the same closure: one of the executions that differ in their names, and every
//! way in which a program can tell them apart.
use std::sync::Arc as Plain;
use verify::cell::UnsafeCell;
use verify::model::{Builder, Report};
use verify::sync::atomic::{AtomicUsize, Ordering::*};
use verify::sync::{Arc, Condvar, Mutex, RwLock};
use verify::{process, thread};

fn explore(symmetry: bool, model: impl Fn() + Copy + Send + Sync + 'static) -> Report {
    let [serial, parallel] = [1, 2].map(|workers| {
        let mut builder = Builder::new();
        (builder.symmetry, builder.workers) = (symmetry, workers);
        (builder.count_distinct, builder.explain) = (true, false);
        let report = builder.explore(model);
        if report.failure.is_none() {
            assert_eq!(report.distinct, Some(report.executions), "one was explored twice");
        }
        report
    });
    if serial.failure.is_none() {
        assert_eq!(serial.executions, parallel.executions);
    }
    assert_eq!(serial.failure.is_some(), parallel.failure.is_some());
    serial
}

/// Executions with and without symmetry.
fn both(model: impl Fn() + Copy + Send + Sync + 'static) -> (u64, u64) {
    [true, false]
        .map(|symmetry| {
            let report = explore(symmetry, model);
            assert!(report.failure.is_none() && report.complete, "{report:?}");
            report.executions
        })
        .into()
}

fn fails(model: fn()) {
    fails_with(model);
}

fn fails_with(model: impl Fn() + Copy + Send + Sync + 'static) {
    for symmetry in [false, true] {
        let report = explore(symmetry, model);
        assert!(report.failure.is_some(), "symmetry {symmetry}: {report}");
    }
}

fn spawn_all<T: Send + Sync + 'static>(n: usize, shared: &Arc<T>, f: fn(&T)) {
    let spawn = |_| {
        let shared = shared.clone();
        thread::spawn(move || f(&shared))
    };
    let threads: Vec<_> = (0..n).map(spawn).collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn threads_that_pass_a_mutex_once_are_one_execution() {
    fn model<const N: usize>() {
        let n = Arc::new(Mutex::new(0));
        spawn_all(N, &n, |n| *n.lock().unwrap() += 1);
        assert_eq!(*n.lock().unwrap(), N);
    }
    assert_eq!(both(model::<2>), (1, 2));
    assert_eq!(both(model::<4>), (1, 24));
    let report = explore(true, model::<12>);
    assert_eq!((report.executions, report.complete), (1, true));
}

#[test]
fn increments_are_one_execution() {
    let model = || {
        let n = Arc::new(AtomicUsize::new(0));
        spawn_all(4, &n, |n| {
            n.fetch_add(1, Relaxed);
        });
        assert_eq!(n.load(Relaxed), 4);
    };
    assert_eq!(both(model), (1, 24));
}

#[test]
fn what_differs_in_more_than_names_is_explored() {
    // Of the four ways to read two are the same.
    let model = || {
        let n = Arc::new(AtomicUsize::new(0));
        let w = n.clone();
        let writer = thread::spawn(move || w.store(1, Relaxed));
        spawn_all(2, &n, |n| {
            n.load(Relaxed);
        });
        writer.join().unwrap();
    };
    let (with, without) = both(model);
    assert!((3..=4).contains(&with) && without == 4, "{with} of {without}");
    // An increment in two halves is lost in any of them.
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        spawn_all(3, &n, |n| n.store(n.load(Relaxed) + 1, Relaxed));
        assert_eq!(n.load(Relaxed), 3);
    });
}

#[test]
fn readers_and_writers_of_a_lock_are_fewer() {
    let model = || {
        let lock = Arc::new(RwLock::new(0));
        let l = lock.clone();
        let writer = thread::spawn(move || *l.write().unwrap() = 1);
        spawn_all(3, &lock, |l| assert!(*l.read().unwrap() < 2));
        writer.join().unwrap();
    };
    let (with, without) = both(model);
    assert!(4 * with <= without, "{with} of {without}");
}

#[test]
fn a_result_tells_threads_apart() {
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let [a, b] = [0; 2].map(|_| {
            let n = n.clone();
            thread::spawn(move || n.fetch_add(1, Relaxed))
        });
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        assert!(a < b, "the second one may be first");
    });
}

#[test]
fn a_step_between_two_joins_tells_threads_apart() {
    fails(|| {
        let n = Arc::new([0; 2].map(AtomicUsize::new));
        let [a, b] = [0; 2].map(|_| {
            let n = n.clone();
            thread::spawn(move || {
                if n[0].fetch_add(1, Relaxed) == 0 {
                    n[1].store(1, Relaxed);
                }
            })
        });
        a.join().unwrap();
        assert_eq!(n[1].load(Relaxed), 1, "the second one may be first");
        b.join().unwrap();
    });
}

/// A cell that one of two threads uses without a lock: the one that comes first, or second.
struct Turn {
    came: AtomicUsize,
    cell: UnsafeCell<usize>,
}

// SAFETY: a race is what the models look for.
unsafe impl Sync for Turn {}
// SAFETY: a race is what the models look for.
unsafe impl Send for Turn {}

impl Turn {
    fn new() -> Arc<Turn> {
        Arc::new(Turn { came: AtomicUsize::new(0), cell: UnsafeCell::new(0) })
    }

    fn come(&self, which: usize) {
        if self.came.fetch_add(1, Relaxed) == which {
            // SAFETY: only races with what a model does on purpose.
            self.cell.with_mut(|c| unsafe { *c += 1 });
        }
    }
}

#[test]
fn an_access_between_two_spawns_tells_threads_apart() {
    // It races with the first thread alone, and only if that comes second.
    fails(|| {
        let s = Turn::new();
        let come = |s: &Arc<Turn>| {
            let s = s.clone();
            thread::spawn(move || s.come(1))
        };
        let a = come(&s);
        // SAFETY: only races with what a model does on purpose.
        s.cell.with_mut(|c| unsafe { *c += 1 });
        let b = come(&s);
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn a_step_between_two_spawns_tells_threads_apart() {
    // The first thread alone may not see it, and only if it comes second.
    fails(|| {
        let n = Arc::new([0; 2].map(AtomicUsize::new));
        let come = |n: &Arc<[AtomicUsize; 2]>| {
            let n = n.clone();
            thread::spawn(move || {
                if n[0].fetch_add(1, Relaxed) == 1 {
                    assert_eq!(n[1].load(Relaxed), 1);
                }
            })
        };
        let a = come(&n);
        n[1].store(1, Relaxed);
        let b = come(&n);
        a.join().unwrap();
        b.join().unwrap();
    });
}

/// One function spawned at two places: what tells its threads apart is learned of both places.
#[test]
fn threads_of_two_places_are_told_apart() {
    static CAME: AtomicUsize = AtomicUsize::new(0);
    static FIRST: std::sync::Mutex<Option<thread::ThreadId>> = std::sync::Mutex::new(None);
    fn come() {
        if CAME.fetch_add(1, Relaxed) == 0 {
            *FIRST.lock().unwrap() = Some(thread::current().id());
        }
    }
    let mut builder = Builder::new();
    builder.explain = false;
    let report = builder.explore(|| {
        let f: fn() = come;
        let a = thread::spawn(f);
        let b = thread::spawn(f);
        let id = a.thread().id();
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(*FIRST.lock().unwrap(), Some(id), "the second one may be first");
    });
    assert!(report.failure.is_some(), "{report}");
}

#[test]
fn an_access_between_two_joins_tells_threads_apart() {
    // It races with the second thread alone, and only if that comes first.
    fails(|| {
        let s = Turn::new();
        let [a, b] = [0; 2].map(|_| {
            let s = s.clone();
            thread::spawn(move || s.come(0))
        });
        a.join().unwrap();
        // SAFETY: only races with what a model does on purpose.
        s.cell.with(|c| unsafe { *c });
        b.join().unwrap();
    });
}

#[test]
fn a_captured_value_tells_threads_apart() {
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let threads = [0, 1].map(|i| {
            let n = n.clone();
            thread::spawn(move || {
                if i == 0 {
                    assert_eq!(n.load(Relaxed), 0, "the second one may be first");
                } else {
                    n.store(1, Relaxed);
                }
            })
        });
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

/// The closures capture the same, and are spawned at one place, but differ in their code.
#[test]
fn another_closure_tells_threads_apart() {
    fn go(f: impl FnOnce() + 'static) -> thread::JoinHandle<()> {
        thread::spawn(f)
    }
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let (a, b) = (n.clone(), n.clone());
        let a = go(move || assert_eq!(a.load(Relaxed), 0, "the second one may be first"));
        let b = go(move || b.store(1, Relaxed));
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn a_process_that_vanishes_is_told_apart() {
    for which in [0, 1] {
        fails_with(move || {
            let n = Arc::new(AtomicUsize::new(0));
            let processes = [0; 2].map(|_| {
                let n = n.clone();
                process::spawn(move || {
                    n.fetch_add(1, Relaxed);
                })
            });
            let ended = processes.map(process::Process::wait);
            assert!(ended[which], "either may vanish");
        });
    }
}

/// With a bound on preemptions every execution within it is explored.
#[test]
fn a_bound_on_preemptions_tells_threads_apart() {
    let run = |symmetry| {
        let mut builder = Builder::new();
        (builder.symmetry, builder.preemption_bound) = (symmetry, Some(1));
        let report = builder.explore(|| {
            let n = Arc::new(AtomicUsize::new(0));
            spawn_all(2, &n, |n| n.store(n.load(Relaxed) + 1, Relaxed));
        });
        assert!(report.failure.is_none() && report.complete, "{report:?}");
        report.executions
    };
    assert_eq!(run(true), run(false));
}

/// The string of an execution of threads that are alike runs it again.
#[test]
fn a_replay_knows_equal_threads() {
    let model = || {
        let n = Arc::new(AtomicUsize::new(0));
        spawn_all(3, &n, |n| n.store(n.load(Relaxed) + 1, Relaxed));
        assert_ne!(n.load(Relaxed), 1, "all read before any wrote");
    };
    for symmetry in [true, false] {
        let failure = explore(symmetry, model).failure.expect("it fails");
        let mut builder = Builder::new();
        builder.replay = Some(failure.replay);
        let again = builder.explore(model).failure.expect("it fails again");
        assert_eq!(again.message, failure.message);
    }
}

/// The first thread ends while the spawning one lets it run, and the closure of the second gets its
/// memory: the same address, another value.
#[test]
fn a_yield_between_two_spawns_tells_threads_apart() {
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2_usize)
            .map(|i| {
                let (n, which) = (n.clone(), Box::new(i));
                let t = thread::spawn(move || {
                    if *which == 0 {
                        assert_eq!(n.load(Relaxed), 0, "the second one may be first");
                    } else {
                        n.store(1, Relaxed);
                    }
                });
                thread::yield_now();
                t
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn the_id_of_a_thread_tells_threads_apart() {
    fails(|| {
        let first = Plain::new(std::sync::Mutex::new(None));
        let n = Arc::new(AtomicUsize::new(0));
        let [a, b] = [0; 2].map(|_| {
            let (first, n) = (first.clone(), n.clone());
            thread::spawn(move || {
                if n.fetch_add(1, Relaxed) == 0 {
                    *first.lock().unwrap() = Some(thread::current().id());
                }
            })
        });
        let id = a.thread().id();
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(*first.lock().unwrap(), Some(id), "the second one may be first");
    });
}

#[test]
fn a_handle_used_before_the_next_spawn_tells_threads_apart() {
    // The first to come sleeps, and the first to be spawned is woken.
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let come = |n: &Arc<AtomicUsize>| {
            let n = n.clone();
            thread::spawn(move || {
                if n.fetch_add(1, Relaxed) == 0 {
                    thread::park();
                }
            })
        };
        let a = come(&n);
        let first = a.thread().clone();
        let b = come(&n);
        first.unpark();
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn a_thread_that_only_one_joins_is_told_apart() {
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let m = n.clone();
        let outer = thread::spawn(move || {
            let [a, _b] = [0; 2].map(|_| {
                let m = m.clone();
                thread::spawn(move || {
                    m.fetch_add(1, Relaxed);
                })
            });
            a.join().unwrap();
        });
        outer.join().unwrap();
        assert_eq!(n.load(Relaxed), 2, "one of both has not been joined");
    });
}

/// A thread ends between two joins: what it joined is before its own end, the other is not.
#[test]
fn an_end_between_two_joins_tells_threads_apart() {
    fails(|| {
        let n = Arc::new([0; 2].map(AtomicUsize::new));
        let m = n.clone();
        let outer = thread::spawn(move || {
            let [a, _b] = [0; 2].map(|_| {
                let m = m.clone();
                thread::spawn(move || {
                    if m[0].fetch_add(1, Relaxed) == 0 {
                        m[1].store(1, Relaxed);
                    }
                })
            });
            a.join().unwrap();
        });
        outer.join().unwrap();
        assert_eq!(n[1].load(Relaxed), 1, "the second one may be first");
    });
}

/// A thread that lets others go on is not overtaken by one that has done the same.
#[test]
fn equal_threads_that_yield_are_explored_once() {
    let model = || {
        let n = Arc::new([0; 2].map(AtomicUsize::new));
        spawn_all(2, &n, |n| {
            n[0].load(Relaxed);
            thread::yield_now();
            n[1].load(Relaxed);
            n[0].store(1, Relaxed);
        });
    };
    let (with, without) = both(model);
    assert!(with < without, "{with} of {without}");
}

#[test]
fn deadlocks_of_equal_threads_are_found() {
    fails(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        spawn_all(3, &pair, |(lock, wake)| {
            let mut n = lock.lock().unwrap();
            *n += 1;
            // A wake-up too few.
            if *n == 3 {
                wake.notify_one();
            }
            while *n < 3 {
                n = wake.wait(n).unwrap();
            }
        });
    });
}

/// A handle that is taken before the next spawn, in a model that has one execution if the threads
/// are taken for alike: no later run corrects that.
#[test]
fn a_handle_taken_before_the_next_spawn_tells_threads_apart() {
    let mut builder = Builder::new();
    (builder.spurious_wakeups, builder.explain) = (0, false);
    let report = builder.explore(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let come = |n: &Arc<AtomicUsize>| {
            let n = n.clone();
            thread::spawn(move || {
                if n.fetch_add(1, Relaxed) == 0 {
                    thread::park();
                }
            })
        };
        let a = come(&n);
        let first = a.thread().clone();
        let b = come(&n);
        first.unpark();
        a.join().unwrap();
        b.join().unwrap();
    });
    assert!(report.failure.is_some(), "the second one may be first: {report}");
}

/// Threads that were spawned before a process begins, none of which vanishes.
#[test]
fn a_process_that_begins_tells_threads_apart() {
    let run = |symmetry| {
        let mut builder = Builder::new();
        (builder.symmetry, builder.crashes) = (symmetry, 0);
        let report = builder.explore(|| {
            let n = Arc::new(AtomicUsize::new(0));
            let spawn = |_| {
                let n = n.clone();
                thread::spawn(move || {
                    n.fetch_add(1, Relaxed);
                })
            };
            let threads = [0; 2].map(spawn);
            let process = process::spawn(|| ());
            threads.into_iter().for_each(|t| t.join().unwrap());
            assert!(process.wait());
        });
        assert!(report.failure.is_none() && report.complete, "{report:?}");
        report.executions
    };
    assert_eq!((run(true), run(false)), (2, 2));
}

/// The first thread ends while the spawning one lets it run, and the next closure owns the same
/// box, with another value.
#[test]
fn a_box_used_again_tells_threads_apart() {
    fails(|| {
        let n = Arc::new(AtomicUsize::new(0));
        let free = Plain::new(std::sync::Mutex::new(None::<Box<usize>>));
        let spawn = |i| {
            let mut which = free.lock().unwrap().take().unwrap_or_default();
            *which = i;
            let (n, free) = (n.clone(), free.clone());
            let t = thread::spawn(move || {
                if *which == 0 {
                    assert_eq!(n.load(Relaxed), 0, "the second one may be first");
                } else {
                    n.store(1, Relaxed);
                }
                *free.lock().unwrap() = Some(which);
            });
            thread::yield_now();
            t
        };
        [0, 1].map(spawn).into_iter().for_each(|t| t.join().unwrap());
    });
}
