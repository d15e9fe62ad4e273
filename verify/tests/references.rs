//! References that are counted, values that are made once, readers that share a lock: what is an
//! event, and what happens before what.

use std::sync::Arc as StdArc;
use verify::cell::UnsafeCell;
use verify::model::{Builder, Report};
use verify::sync::atomic::{AtomicUsize, Ordering::*};
use verify::sync::{Arc, LazyLock, OnceLock, RwLock, RwLockReadGuard, Weak};
use verify::thread;

fn explore(f: impl Fn() + Send + Sync + 'static) -> Report {
    Builder::new().explore(f)
}

#[track_caller]
fn passes(f: impl Fn() + Send + Sync + 'static) -> u64 {
    let report = explore(f);
    assert!(
        report.failure.is_none() && report.complete,
        "{:?}",
        report.failure.map(|f| f.to_string())
    );
    report.executions
}

#[track_caller]
fn fails(reason: &str, f: impl Fn() + Send + Sync + Copy + 'static) {
    let failure = explore(f).failure.expect("a failure");
    assert!(failure.message.contains(reason), "{failure}");
    let mut again = Builder::new();
    again.replay = Some(failure.replay.clone());
    let replayed = again.explore(f).failure.expect("the same one");
    assert_eq!((replayed.message, replayed.trace), (failure.message, failure.trace));
}

/// A value without a destructor: no thread sees in which order references to it are dropped, unless
/// a thread reads the count.
#[test]
fn drops_that_no_thread_sees_are_no_events() {
    let executions = passes(|| {
        let shared = Arc::new(7);
        for _ in 0..3 {
            let theirs = shared.clone();
            thread::spawn(move || assert_eq!(*theirs, 7));
        }
    });
    assert_eq!(executions, 1);
}

#[test]
fn a_question_whose_answer_is_certain_is_no_event() {
    let executions = passes(|| {
        let mut shared = Arc::new(7);
        let weak = Arc::downgrade(&shared);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let theirs = shared.clone();
                thread::spawn(move || assert_eq!(*theirs, 7))
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(Arc::strong_count(&shared), 1);
        drop(weak);
        *Arc::get_mut(&mut shared).unwrap() = 8;
        assert_eq!(Arc::try_unwrap(shared), Ok(8));
    });
    assert_eq!(executions, 1);
}

fn upgrade() -> bool {
    let strong = Arc::new(5);
    let weak = Arc::downgrade(&strong);
    let t = thread::spawn(move || drop(strong));
    let there = weak.upgrade().is_some();
    t.join().unwrap();
    assert!(weak.upgrade().is_none());
    there
}

#[test]
fn an_upgrade_races_with_the_last_drop() {
    passes(|| {
        upgrade();
    });
    fails("still there", || assert!(!upgrade(), "still there"));
    fails("gone", || assert!(upgrade(), "gone"));
}

#[test]
fn counts_race_with_drops_and_clones() {
    fn count(clones: bool) -> usize {
        let mine = Arc::new(());
        let theirs = mine.clone();
        thread::spawn(move || {
            let more = clones.then(|| theirs.clone());
            drop(theirs);
            drop(more);
        });
        Arc::strong_count(&mine)
    }
    passes(|| assert!((1..=2).contains(&count(false))));
    fails("one", || assert_ne!(count(false), 1, "one"));
    fails("two", || assert_ne!(count(false), 2, "two"));
    fails("three", || assert_ne!(count(true), 3, "three"));
}

#[test]
fn a_value_is_unwrapped_or_not() {
    fn unwrap() -> bool {
        let mine = Arc::new(1);
        let theirs = mine.clone();
        thread::spawn(move || drop(theirs));
        Arc::try_unwrap(mine).is_ok()
    }
    fails("unwrapped", || assert!(!unwrap(), "unwrapped"));
    fails("shared", || assert!(unwrap(), "shared"));
    // Exactly one of those who give it up gets the value.
    passes(|| {
        let mine = Arc::new(1);
        let theirs = mine.clone();
        let t = thread::spawn(move || Arc::into_inner(theirs).is_some());
        let got = Arc::into_inner(mine).is_some();
        assert!(got != t.join().unwrap());
    });
}

struct Racy(UnsafeCell<usize>);

// SAFETY: the checker fails the model when two accesses race.
unsafe impl Sync for Racy {}
// SAFETY: the checker fails the model when two accesses race.
unsafe impl Send for Racy {}

impl Racy {
    fn set(&self) {
        // SAFETY: the access is exclusive: the cell checks it.
        self.0.with_mut(|v| unsafe { *v = 1 });
    }
    fn get(&self) -> usize {
        // SAFETY: no thread writes: the cell checks it.
        self.0.with(|v| unsafe { *v })
    }
}

/// `get_mut` comes after what the others did with their references; the count alone does not.
#[test]
fn what_the_last_one_sees() {
    fn model(ask: fn(&mut Arc<()>) -> bool) {
        let data = StdArc::new(Racy(UnsafeCell::new(0)));
        let mut mine = Arc::new(());
        let (theirs, written) = (mine.clone(), data.clone());
        thread::spawn(move || {
            written.set();
            drop(theirs);
        });
        if ask(&mut mine) {
            data.get();
        }
    }
    passes(|| model(|mine| Arc::get_mut(mine).is_some()));
    fails("data race", || model(|mine| Arc::strong_count(mine) == 1));
    passes(|| {
        model(|mine| {
            let alone = Arc::strong_count(mine) == 1;
            verify::sync::atomic::fence(Acquire);
            alone
        });
    });
}

struct Myself {
    weak: Weak<Myself>,
    value: usize,
}

#[test]
fn a_cycle() {
    passes(|| {
        let me = Arc::new_cyclic(|weak: &Weak<Myself>| {
            assert!(weak.upgrade().is_none());
            Myself { weak: weak.clone(), value: 3 }
        });
        assert_eq!(me.weak.upgrade().expect("alive").value, 3);
        assert_eq!(Arc::weak_count(&me), 1);
    });
}

static LAZY: LazyLock<String> = LazyLock::new(|| String::from("made"));
static ONCE: OnceLock<Vec<usize>> = OnceLock::new();

/// A static is a new one in every execution, and is not dropped at its end.
#[test]
fn statics_that_are_made_once_in_every_execution() {
    let executions = passes(|| {
        let made = StdArc::new(AtomicUsize::new(0));
        let m = made.clone();
        let t = thread::spawn(move || {
            assert_eq!(*LAZY, "made");
            ONCE.get_or_init(|| vec![m.fetch_add(1, Relaxed)])[0]
        });
        let mine = ONCE.get_or_init(|| vec![made.fetch_add(1, Relaxed)])[0];
        assert_eq!((LAZY.len(), mine, t.join().unwrap()), (4, 0, 0));
        assert_eq!(made.load(Relaxed), 1);
    });
    assert!(executions > 1);
}

verify::lazy_static! {
    static ref COUNT: AtomicUsize = AtomicUsize::new(0);
}

#[test]
fn lazy_statics() {
    passes(|| {
        let t = thread::spawn(|| COUNT.fetch_add(1, Relaxed));
        let mine = COUNT.fetch_add(1, Relaxed);
        assert_eq!(mine + t.join().unwrap(), 1);
    });
}

#[test]
fn a_lazy_value_that_owns_its_closure() {
    passes(|| {
        let text = String::from("owned");
        let lazy = LazyLock::new(move || text.len());
        assert_eq!(*lazy, 5);
        let text = String::from("never called");
        drop(LazyLock::new(move || text.len()));
    });
}

/// Two readers of a lock do not come one after the other, whatever the lock's word does.
#[test]
fn readers_do_not_synchronise() {
    let model = |first_writes: bool, second_writes: bool| {
        move || {
            let shared = StdArc::new((RwLock::new(()), Racy(UnsafeCell::new(0))));
            let part = |writes: bool| {
                let s = shared.clone();
                move || {
                    if writes {
                        let _guard = s.0.write().unwrap();
                        s.1.set();
                    } else {
                        let guard = s.0.read().unwrap();
                        s.1.set();
                        verify::sync::atomic::fence(SeqCst);
                        drop(guard);
                    }
                }
            };
            let t = thread::spawn(part(first_writes));
            let u = thread::spawn(part(second_writes));
            t.join().unwrap();
            u.join().unwrap();
        }
    };
    for (first, second) in [(true, true), (true, false), (false, true)] {
        passes(model(first, second));
    }
    let failure = explore(model(false, false)).failure.expect("a race of two readers");
    assert!(failure.message.contains("data race"), "{failure}");
}

/// A writer comes after all readers, also those that are behind another reader.
#[test]
fn a_writer_comes_after_every_reader() {
    passes(|| {
        let shared = StdArc::new((RwLock::new(()), Racy(UnsafeCell::new(0))));
        for _ in 0..2 {
            let s = shared.clone();
            thread::spawn(move || {
                let _guard = s.0.read().unwrap();
                s.1.get();
            });
        }
        let _guard = shared.0.write().unwrap();
        shared.1.set();
    });
}

/// A guard, with the lock that it is of, which another thread may drop.
struct Sent {
    guard: RwLockReadGuard<'static, ()>,
    shared: StdArc<(RwLock<()>, Racy)>,
}

// SAFETY: the checker's lock may be released by any thread. The lock is behind a reference of its
// own, which is dropped after the guard: fields are dropped in the order of their declaration.
unsafe impl Send for Sent {}

impl Sent {
    fn new(shared: &StdArc<(RwLock<()>, Racy)>) -> Sent {
        let guard = shared.0.read().unwrap();
        // SAFETY: the lock lives as long as the guard: the struct has a reference to it.
        let guard = unsafe {
            std::mem::transmute::<RwLockReadGuard<'_, ()>, RwLockReadGuard<'static, ()>>(guard)
        };
        Sent { guard, shared: shared.clone() }
    }

    fn release(self) {
        let Sent { guard, shared } = self;
        drop(guard);
        drop(shared);
    }
}

/// A writer comes after the access of a reader whose guard another thread drops, and not after what
/// the reader does once it has given the guard away.
#[test]
fn a_read_guard_that_another_thread_drops_releases_the_lock() {
    fn model(late: bool) {
        let shared = StdArc::new((RwLock::new(()), Racy(UnsafeCell::new(0))));
        let s = shared.clone();
        thread::spawn(move || {
            let sent = Sent::new(&s);
            if !late {
                s.1.get();
            }
            thread::spawn(move || sent.release());
            if late {
                s.1.get();
            }
        });
        let _guard = shared.0.write().unwrap();
        shared.1.set();
    }
    passes(|| model(false));
    fails("race", || model(true));
}
