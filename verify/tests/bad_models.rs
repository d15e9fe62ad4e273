//! Models that no checker likes: each gets a diagnosis that names the place.

use std::sync::atomic::{AtomicUsize as RealAtomic, Ordering::Relaxed as RealRelaxed};
use verify::model::Builder;
use verify::sync::Arc;
use verify::sync::atomic::{AtomicUsize, Ordering::*};
use verify::thread;

fn diagnosis(f: impl Fn() + Send + Sync + 'static) -> String {
    let text = Builder::new().explore(f).failure.expect("a diagnosis").to_string();
    assert!(text.contains("bad_models.rs"), "it names no place: {text}");
    text
}

#[test]
fn nondeterministic() {
    static RUNS: RealAtomic = RealAtomic::new(0);
    let text = diagnosis(|| {
        let x = std::sync::Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || y.store(1, Relaxed));
        if RUNS.fetch_add(1, RealRelaxed) % 2 == 0 {
            x.load(Relaxed);
        } else {
            x.store(2, Relaxed);
        }
        x.load(Relaxed);
    });
    assert!(text.contains("not deterministic"), "{text}");
}

#[test]
fn panicking() {
    let text = diagnosis(|| {
        thread::spawn(|| panic!("on purpose"));
    });
    assert!(text.contains("on purpose"), "{text}");
}

#[test]
fn storing_forever() {
    let text = diagnosis(|| {
        let x = AtomicUsize::new(0);
        loop {
            x.fetch_add(1, Relaxed);
        }
    });
    assert!(text.contains("maximum number of branches"), "{text}");
}

#[test]
fn waiting_for_no_thread() {
    let text = diagnosis(|| {
        let x = AtomicUsize::new(0);
        while x.load(Relaxed) == 0 {
            thread::yield_now();
        }
    });
    assert!(text.contains("non-termination"), "{text}");
}

#[test]
fn thousands_of_threads() {
    let text = diagnosis(|| {
        for _ in 0..5_000 {
            thread::spawn(|| ());
        }
    });
    assert!(text.contains("more than 64 threads"), "{text}");
}

#[test]
fn a_thread_that_stays_asleep() {
    let text = diagnosis(|| {
        thread::spawn(thread::park);
    });
    assert!(text.contains("deadlock") && text.contains("thread 1"), "{text}");
}

#[test]
fn a_leak() {
    let text = diagnosis(|| std::mem::forget(Arc::new(1)));
    assert!(text.contains("leaked"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_stack_that_overflows() {
    #[expect(unconditional_recursion, reason = "on purpose")]
    fn deeper(n: &AtomicUsize) -> usize {
        let frame = std::hint::black_box([n.load(Relaxed); 64]);
        deeper(n) + frame[1]
    }
    let model = || {
        let n = AtomicUsize::new(1);
        let mut frames = 0_usize;
        fn without_steps(depth: &mut usize) -> usize {
            *depth += 1;
            let frame = std::hint::black_box([*depth; 64]);
            if frame[0] == usize::MAX { 0 } else { without_steps(depth) + frame[1] }
        }
        n.store(2, Relaxed);
        without_steps(&mut frames);
        deeper(&n);
    };
    let text = diagnosis(model);
    assert!(text.contains("stack overflow"), "{text}");
}

/// Dekker's retreat: both threads see each other and step back, again and again.
#[test]
fn a_livelock_that_writes() {
    let mut builder = Builder::new();
    builder.max_branches = 2_000;
    let model = || {
        let flags = std::sync::Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let enter = |flags: &[AtomicUsize; 2], me: usize| {
            loop {
                flags[me].store(1, SeqCst);
                if flags[1 - me].load(SeqCst) == 0 {
                    break;
                }
                flags[me].store(0, SeqCst);
                thread::yield_now();
            }
            flags[me].store(0, SeqCst);
        };
        let theirs = flags.clone();
        let t = thread::spawn(move || enter(&theirs, 1));
        enter(&flags, 0);
        t.join().unwrap();
    };
    let text = builder.explore(model).failure.expect("a livelock").to_string();
    assert!(text.contains("livelock") && text.lines().count() < 60, "{text}");
}

/// A loop that is bounded, and no longer than what loom allows, is no livelock.
#[test]
fn a_loop_with_a_bound_that_yields() {
    let report = Builder::new().explore(|| {
        let x = AtomicUsize::new(0);
        for _ in 0..500 {
            x.fetch_add(1, Relaxed);
            thread::yield_now();
        }
    });
    assert!(report.failure.is_none() && report.executions == 1, "{report}");
}

#[test]
fn equal_lines_are_folded() {
    let text = diagnosis(|| {
        let x = AtomicUsize::new(0);
        let y = AtomicUsize::new(0);
        while x.load(Relaxed) == 0 && y.load(Acquire) == 0 {
            thread::yield_now();
        }
    });
    assert!(text.contains("the same 2 lines, ") && text.lines().count() < 30, "{text}");
}

/// A thread of the system does nothing that the model could see.
#[test]
fn a_thread_of_the_system() {
    let text = diagnosis(|| {
        let x = std::sync::Arc::new(AtomicUsize::new(0));
        x.store(1, Relaxed);
        let y = x.clone();
        let stranger = std::thread::Builder::new().name("stranger".into());
        let t = stranger.spawn(move || y.store(9, Relaxed)).unwrap();
        assert!(t.join().is_err(), "it goes on with a value that no thread sees");
        x.load(Relaxed);
    });
    assert!(text.contains("the thread `stranger` of the system uses an object"), "{text}");
}

/// Outside of a model an object is what it is in `std`, also when it has been in one.
#[test]
fn an_object_that_outlives_its_model() {
    static X: AtomicUsize = AtomicUsize::new(1);
    verify::model(|| X.store(2, Relaxed));
    X.store(3, Relaxed);
    std::thread::spawn(|| assert_eq!(X.load(Relaxed), 3)).join().unwrap();
}

/// The main thread is spawned where the model is.
#[test]
fn a_report_names_where_the_model_was_started() {
    let line = line!() + 1;
    let failure = Builder::new().explore(thread::park).failure.expect("a deadlock");
    let place = format!("thread 0 (spawned at verify/tests/bad_models.rs:{line}");
    assert!(failure.to_string().contains(&place), "{failure}");
    let text = diagnosis(|| verify::model(|| ()));
    assert!(text.contains("inside of a model, as it does at verify/tests/bad_models.rs"), "{text}");
}

/// Runs a test of this file in a program of its own; returns what it prints.
fn program(test: &str, which: &str, patience: &str) -> (bool, String) {
    let out = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .envs([(PROGRAM, which), ("VERIFY_STUCK_SECONDS", patience), ("VERIFY_MEMORY_MIB", "300")])
        .output()
        .expect("it runs");
    let text = [out.stdout, out.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    (out.status.success(), text.concat())
}

const PROGRAM: &str = "VERIFY_TEST_PROGRAM";

/// A call that blocks in the system is reported, with the thread and the place. In a program of its
/// own: the patience is the process's.
#[test]
#[cfg(target_os = "linux")]
fn blocking_in_the_system() {
    let models: [(&str, fn()); 3] = [
        ("a mutex of std", || {
            let lock = std::sync::Mutex::new(0);
            AtomicUsize::new(0).store(1, Relaxed);
            let _first = lock.lock().unwrap();
            let _held = lock.lock().unwrap(); // here
        }),
        ("a channel of std", || {
            let (_send, receive) = std::sync::mpsc::channel::<u32>();
            AtomicUsize::new(0).store(1, Relaxed);
            let _ = receive.recv(); // here
        }),
        ("a park of std", || {
            AtomicUsize::new(0).store(1, Relaxed);
            loop {
                std::thread::park(); // here
            }
        }),
    ];
    if let Ok(which) = std::env::var(PROGRAM) {
        let model = models.iter().find(|m| m.0 == which).expect("a model").1;
        println!("{}", diagnosis(model));
        return;
    }
    let here: Vec<usize> = include_str!("bad_models.rs")
        .lines()
        .enumerate()
        .filter(|(_, line)| line.ends_with("; // here"))
        .map(|(n, _)| n + 1)
        .collect();
    for ((which, _), line) in models.iter().zip(here) {
        let (ended, text) = program("blocking_in_the_system", which, "1");
        assert!(ended && text.contains("blocks in a system call"), "{which}: {text}");
        if cfg!(target_arch = "x86_64") {
            let place = format!("bad_models.rs:{line}");
            assert!(text.contains(&place), "{which}, {place}: {text}");
        }
    }
}

/// Patience is spent by what a thread does, not by the time of the day: a thread that shares its
/// processor with three others computes for half a second, which takes two. In a program of its
/// own: the patience is the process's.
#[test]
#[cfg(target_os = "linux")]
fn a_busy_machine_is_no_endless_loop() {
    use std::sync::atomic::AtomicBool;

    const COMPUTES: std::time::Duration = std::time::Duration::from_millis(500);

    /// The processor time of this thread.
    fn used() -> std::time::Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` may be written.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        assert_eq!(status, 0, "every thread has this clock");
        std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    }

    if std::env::var(PROGRAM).is_err() {
        let (ended, text) = program("a_busy_machine_is_no_endless_loop", "yes", "1");
        assert!(ended && text.contains("1 executions"), "{text}");
        return;
    }
    // SAFETY: all zeros is an empty set, and the set may be read and written. New threads inherit
    // the processor of this one.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap(), &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let report = Builder::new().explore(|| {
            AtomicUsize::new(0).store(1, Relaxed);
            let start = used();
            while used() - start < COMPUTES {}
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("{report}");
    });
}

/// A panic in a drop while another one unwinds ends the program. Both are told.
#[test]
fn a_panic_while_another_one_unwinds() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the second one");
        }
    }
    if std::env::var(PROGRAM).is_ok() {
        verify::model(|| {
            let _bomb = Bomb;
            panic!("the first one");
        });
    }
    let (ended, text) = program("a_panic_while_another_one_unwinds", "yes", "20");
    assert!(!ended && text.contains("the first one") && text.contains("the second one"), "{text}");
}

/// Every bound that an execution has is reached by some model, is named then, and is printed with
/// the others.
mod bounds {
    use super::*;
    use verify::model::Report;

    fn explore(mut builder: Builder, f: impl Fn() + Send + Sync + 'static) -> Report {
        builder.explain = false;
        builder.explore(f)
    }

    #[test]
    fn events() {
        let mut builder = Builder::new();
        builder.max_branches = 30;
        let stores = |n| {
            move || {
                let x = AtomicUsize::new(0);
                (0..n).for_each(|i| x.store(i, Relaxed));
            }
        };
        let report = explore(builder.clone(), stores(30));
        assert!(report.failure.is_none() && report.to_string().contains("30 steps"), "{report}");
        let failure = explore(builder, stores(31)).failure.expect("a diagnosis").message;
        assert!(
            failure.contains("maximum number of branches: 30 steps")
                && failure.contains("bad_models.rs"),
            "{failure}"
        );
    }

    #[test]
    fn threads() {
        let mut builder = Builder::new();
        builder.max_threads = 3;
        let spawns = |n| move || (0..n).for_each(|_| drop(thread::spawn(|| ())));
        assert!(explore(builder.clone(), spawns(2)).failure.is_none());
        let failure = explore(builder, spawns(3)).failure.expect("a diagnosis").message;
        assert!(
            failure.contains("more than 3 threads") && failure.contains("bad_models.rs"),
            "{failure}"
        );
    }

    fn race_to_load() {
        let x = std::sync::Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let x = x.clone();
            thread::spawn(move || x.fetch_add(1, Relaxed));
        }
    }

    #[test]
    fn executions() {
        let mut builder = Builder::new();
        builder.max_permutations = Some(4);
        let report = explore(builder, race_to_load);
        assert!(report.failure.is_none() && !report.complete && report.executions == 4, "{report}");
        assert!(report.to_string().contains("not all explored"), "{report}");
    }

    #[test]
    fn time() {
        let mut builder = Builder::new();
        builder.max_duration = Some(std::time::Duration::ZERO);
        let report = explore(builder, || (0..5).for_each(|_| race_to_load()));
        assert!(report.failure.is_none() && !report.complete, "{report}");
    }

    /// Switches away from a thread that could go on: the fewer, the fewer executions; unbounded,
    /// all of them.
    #[test]
    fn preemptions() {
        let run = |bound| {
            let mut builder = Builder::new();
            builder.preemption_bound = bound;
            builder.count_distinct = true;
            let report = explore(builder, || {
                let x = std::sync::Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
                let y = x.clone();
                thread::spawn(move || {
                    (0..3).for_each(|_| y[0].store(y[1].fetch_add(1, AcqRel), Release))
                });
                (0..3).for_each(|_| x[0].store(x[1].fetch_add(1, AcqRel), Release));
            });
            assert!(
                report.failure.is_none() && report.distinct == Some(report.executions),
                "{report}"
            );
            if let Some(n) = bound {
                assert!(report.to_string().contains(&format!("{n} preemptions")), "{report}");
            }
            report.executions
        };
        let counts = [Some(0), Some(1), Some(2), Some(20), None].map(run);
        assert!(counts.is_sorted() && counts[0] < counts[1] && counts[1] < counts[4], "{counts:?}");
        assert_eq!(counts[3], counts[4]);
    }

    /// The things that an execution may do beyond the steps of its threads.
    #[test]
    fn budgets() {
        let weak = |n| {
            let mut builder = Builder::new();
            builder.weak_failures = n;
            let report = explore(builder, move || {
                let x = AtomicUsize::new(0);
                (0..3).for_each(|_| {
                    assert!(
                        x.compare_exchange_weak(0, 0, Relaxed, Relaxed).is_ok_and(|v| v == 0)
                            || n > 0
                    )
                });
            });
            assert!(
                report.to_string().contains(&format!("{n} failures of compare_exchange_weak")),
                "{report}"
            );
            report.executions
        };
        assert_eq!([0, 1, 2, 3].map(weak), [1, 4, 7, 8]);
        let spurious = |n| {
            let mut builder = Builder::new();
            builder.spurious_wakeups = n;
            let report = explore(builder, || {
                (0..3).for_each(|_| {
                    verify::thread::current().unpark();
                    verify::thread::park();
                });
            });
            assert!(report.to_string().contains(&format!("{n} spurious wake-ups")), "{report}");
            report.executions
        };
        assert_eq!([0, 1, 2, 3].map(spurious), [1, 4, 7, 8]);
    }

    /// A thread that never asks the checker, and one that takes all memory, in a program of its
    /// own: the patience is the process's.
    #[test]
    #[cfg(target_os = "linux")]
    fn patience_and_memory() {
        const ME: &str = "VERIFY_TEST_OF_BOUNDS";
        if let Ok(which) = std::env::var(ME) {
            let text = match which.as_str() {
                "patience" => diagnosis(|| {
                    AtomicUsize::new(0).store(1, Relaxed);
                    let mut n = 0_u64;
                    while std::hint::black_box(n) < u64::MAX {
                        n += 1;
                    }
                }),
                _ => diagnosis(|| {
                    AtomicUsize::new(0).store(1, Relaxed);
                    let mut all = Vec::new();
                    for i in 0.. {
                        all.push(vec![i as u8; 1 << 14]);
                        (0..1 << 14).for_each(|n| assert!(std::hint::black_box(n) >= 0));
                    }
                }),
            };
            println!("{text}");
            return;
        }
        for (which, patience, told) in
            [("patience", "1", "runs on and on"), ("memory", "0", "memory runs out")]
        {
            let out = std::process::Command::new(std::env::current_exe().expect("this program"))
                .args([
                    "--exact",
                    "bounds::patience_and_memory",
                    "--nocapture",
                    "--test-threads",
                    "1",
                ])
                .envs([
                    (ME, which),
                    ("VERIFY_STUCK_SECONDS", patience),
                    ("VERIFY_MEMORY_MIB", "300"),
                ])
                .output()
                .expect("it runs");
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(
                out.status.success() && text.contains(told) && text.contains("bad_models.rs"),
                "{which}: {text}"
            );
        }
    }
}
