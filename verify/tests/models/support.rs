//! How a model is written, once, and run: in both spawn orders, and with every setting of what the
//! checker cannot choose by itself.

/// The order in which the threads of a model are spawned. The last one runs on the model's main
/// thread.
///
/// A checker should not care; loom does (it forgets earlier racing loads), so every model runs both
/// ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Forward,
    Reversed,
}

/// A model. Of one type, so that the checkers, which are generic over what they run, are compiled
/// once and not once for every model.
pub(crate) type Model = std::sync::Arc<dyn Fn(Order) + Send + Sync>;

/// The body of one thread of a model.
pub(crate) type Body = Box<dyn FnOnce()>;

impl Order {
    /// Runs the bodies at the same time and waits for all of them.
    pub(crate) fn run<const N: usize>(self, bodies: [Body; N]) {
        let mut bodies = Vec::from(bodies);
        if self == Order::Reversed {
            bodies.reverse();
        }
        let last = bodies.pop().expect("a model has threads");
        let others: Vec<_> = bodies.into_iter().map(checker::spawn).collect();
        last();
        for other in others {
            other.join().expect("a thread of the model panicked");
        }
    }

    /// As [`run`](Self::run), with one more that may vanish after any of its writes: under our own
    /// checker. Loom knows no deaths.
    pub(crate) fn run_with_mortal<const N: usize>(self, mortal: Body, others: [Body; N]) {
        let mut others = Vec::from(others);
        if self == Order::Reversed {
            others.reverse();
        }
        let last = others.pop().expect("a model has threads that survive");
        let others = others.into_iter().map(|body| checker::Thread::from(checker::spawn(body)));
        let threads: Vec<_> = match self {
            Order::Forward => {
                core::iter::once_with(|| checker::spawn_mortal(mortal)).chain(others).collect()
            }
            Order::Reversed => {
                others.chain(core::iter::once_with(|| checker::spawn_mortal(mortal))).collect()
            }
        };
        last();
        threads.into_iter().for_each(checker::Thread::wait);
    }
}

/// Names a model and makes two tests of it: `name::forward` and `name::reversed`.
///
/// ```ignore
/// model! {
///     /// What it looks for.
///     fn name(order) { ...; order.run([body(...), body(...)]); assert!(...) }
/// }
/// ```
///
/// `fn name(order) small { ... }` is for a model that has a whole thread of the library in it, and
/// locks: with two preemptions instead of three, and without impatience, which is the locks' own
/// matter. `tight` is for three threads of a queue that may all sleep: one preemption.
macro_rules! model {
    ($(#[doc = $doc:literal])* fn $name:ident($order:ident) $body:block) => {
        model!(@ check, $(#[doc = $doc])* fn $name($order) $body);
    };
    ($(#[doc = $doc:literal])* fn $name:ident($order:ident) small $body:block) => {
        model!(@ check_small, $(#[doc = $doc])* fn $name($order) $body);
    };
    ($(#[doc = $doc:literal])* fn $name:ident($order:ident) tight $body:block) => {
        model!(@ check_tight, $(#[doc = $doc])* fn $name($order) $body);
    };
    (@ $check:ident, $(#[doc = $doc:literal])* fn $name:ident($order:ident) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "a model that needs nothing of its file is a model all the same")]
            use super::*;

            fn model($order: $crate::support::Order) $body

            #[test]
            fn forward() {
                $crate::support::$check(concat!(module_path!(), "::forward"), $crate::support::Order::Forward, std::sync::Arc::new(model));
            }

            #[test]
            fn reversed() {
                $crate::support::$check(concat!(module_path!(), "::reversed"), $crate::support::Order::Reversed, std::sync::Arc::new(model));
            }
        }
    };
}

/// A body, boxed: `body(move || ...)`.
pub(crate) fn body(f: impl FnOnce() + 'static) -> Body {
    Box::new(f)
}

/// A body that works on a clone of a shared value.
pub(crate) fn with<T: Clone + 'static>(shared: &T, f: impl FnOnce(T) + 'static) -> Body {
    let shared = shared.clone();
    Box::new(move || f(shared))
}

/// The longest that one setting of one model is explored for: MODEL_SECONDS, 10 by default. What
/// did not fit is printed as "not all explored".
fn time_for_one_run() -> std::time::Duration {
    let seconds = std::env::var("MODEL_SECONDS")
        .map_or(10, |text| text.parse().expect("MODEL_SECONDS is a number of seconds"));
    std::time::Duration::from_secs(seconds)
}

#[cfg(target_os = "linux")]
pub(crate) use checker::on_death;
pub(crate) use checker::{
    Arc, Tracked, all_asleep, breaks, check, check_small, check_tight, judge,
};

#[cfg(loom)]
mod checker {
    use sync_core::primitive::{Knobs, set_knobs};

    use super::{Model, Order};

    pub(crate) use loom::sync::Arc;

    pub(crate) fn spawn(body: super::Body) -> loom::thread::JoinHandle<()> {
        loom::thread::spawn(body)
    }

    pub(crate) struct Thread(loom::thread::JoinHandle<()>);

    impl From<loom::thread::JoinHandle<()>> for Thread {
        fn from(handle: loom::thread::JoinHandle<()>) -> Self {
            Self(handle)
        }
    }

    impl Thread {
        pub(crate) fn wait(self) {
            self.0.join().expect("a thread of the model panicked");
        }
    }

    /// Loom knows no deaths: it comes to its end.
    pub(crate) fn spawn_mortal(body: super::Body) -> Thread {
        spawn(body).into()
    }

    /// Never happens.
    pub(crate) fn on_death(_: impl FnOnce() + 'static) {}

    /// Loom cannot tell.
    pub(crate) fn all_asleep() -> bool {
        false
    }

    /// Plain data whose every access is checked for races.
    #[derive(Debug, Default)]
    pub(crate) struct Tracked(loom::cell::UnsafeCell<u32>);

    impl Tracked {
        pub(crate) fn new(value: u32) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        pub(crate) fn get(&self) -> u32 {
            // SAFETY: loom fails the model if this access races with another.
            self.0.with(|value| unsafe { *value })
        }

        pub(crate) fn set(&self, new: u32) {
            // SAFETY: as in `get`.
            self.0.with_mut(|value| unsafe { *value = new });
        }
    }

    // SAFETY: every access is checked by loom.
    unsafe impl Sync for Tracked {}

    /// Explores the model once for every setting of the knobs.
    ///
    /// Loom's reduction is not optimal: without a bound three threads at a lock take hours. Three
    /// preemptions find what small models can show; LOOM_MAX_PREEMPTIONS says otherwise.
    pub(crate) fn check(name: &str, order: Order, model: Model) {
        explore(name, 3, &[(0, false), (1, false), (0, true), (1, true)], order, model);
    }

    /// The same for a model that is small only if it is explored less deeply.
    pub(crate) fn check_small(name: &str, order: Order, model: Model) {
        explore(name, 2, &[(0, false), (1, false)], order, model);
    }

    /// The same for one that is bigger still.
    pub(crate) fn check_tight(name: &str, order: Order, model: Model) {
        explore(name, 1, &[(0, false), (1, false)], order, model);
    }

    /// Loom does not tell which of two calls of different threads happened before the other: a
    /// history is checked by ours alone.
    pub(crate) fn judge<S: verify::linear::Spec>(
        _: &verify::linear::History<S::Call, S::Return>,
        _: S,
    ) {
    }

    /// What only [`judge`] can notice goes unnoticed here.
    pub(crate) fn breaks(_: &str, _: impl Fn() + Copy + Send + Sync + 'static) {}

    fn explore(
        name: &str,
        preemptions: usize,
        settings: &[(usize, bool)],
        order: Order,
        model: Model,
    ) {
        for &(spurious, impatient) in settings {
            let knobs = Knobs { spurious, impatient };
            let model = Model::clone(&model);
            let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let count = std::sync::Arc::clone(&executions);
            let mut builder = loom::model::Builder::new();
            builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
            // How often loom looks at the clock.
            builder.checkpoint_interval = 256;
            builder.max_duration = builder.max_duration.or(Some(super::time_for_one_run()));
            let started = std::time::Instant::now();
            builder.check(move || {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                set_knobs(knobs);
                model(order);
            });
            let all = if builder.max_duration.is_some_and(|most| started.elapsed() < most) {
                ""
            } else {
                ", not all explored"
            };
            println!(
                "{name}: {} executions{all}, {knobs:?}",
                executions.load(std::sync::atomic::Ordering::Relaxed)
            );
        }
    }
}

#[cfg(sync_verify)]
mod checker {
    pub(crate) use verify::sync::Arc;

    use super::{Model, Order};

    pub(crate) fn spawn(body: super::Body) -> verify::thread::JoinHandle<()> {
        verify::thread::spawn(body)
    }

    pub(crate) enum Thread {
        Immortal(verify::thread::JoinHandle<()>),
        Mortal(verify::process::Process),
    }

    impl From<verify::thread::JoinHandle<()>> for Thread {
        fn from(handle: verify::thread::JoinHandle<()>) -> Self {
            Self::Immortal(handle)
        }
    }

    impl Thread {
        pub(crate) fn wait(self) {
            match self {
                Self::Immortal(handle) => handle.join().expect("a thread of the model panicked"),
                Self::Mortal(process) => {
                    process.wait();
                }
            }
        }
    }

    /// Starts one that may vanish after any of its writes.
    pub(crate) fn spawn_mortal(body: super::Body) -> Thread {
        Thread::Mortal(verify::process::spawn(body))
    }

    /// Waits until every other thread of the model sleeps, where that can be told.
    pub(crate) fn all_asleep() -> bool {
        let nobody_wakes = verify::sync::atomic::AtomicU32::new(0);
        // A time is up early once in an execution, and otherwise when nobody else can run: so the
        // second time at the latest.
        for _ in 0..2 {
            verify::futex::wait_timeout(&nobody_wakes, 0);
        }
        true
    }

    /// What the kernel does when the calling one vanishes.
    pub(crate) fn on_death(act: impl FnOnce() + 'static) {
        verify::process::on_death(act);
    }

    /// Plain data whose every access is checked for races.
    #[derive(Debug, Default)]
    pub(crate) struct Tracked(verify::cell::UnsafeCell<u32>);

    impl Tracked {
        pub(crate) const fn new(value: u32) -> Self {
            Self(verify::cell::UnsafeCell::new(value))
        }

        pub(crate) fn get(&self) -> u32 {
            // SAFETY: the checker fails the model if this access races with another.
            self.0.with(|value| unsafe { *value })
        }

        pub(crate) fn set(&self, new: u32) {
            // SAFETY: as in `get`.
            self.0.with_mut(|value| unsafe { *value = new });
        }
    }

    // SAFETY: every access is checked by the checker.
    unsafe impl Sync for Tracked {}

    /// Explores the model: without spurious wake-ups, then with one in an execution. Either may
    /// have one timeout that fires while others could still run; when nothing else can, timeouts
    /// fire anyway.
    ///
    /// Every execution is explored, or as many as fit in
    /// [`time_for_one_run`](super::time_for_one_run). What was explored is printed.
    ///
    /// With MODEL_MUTATE set, every ordering that the model uses is weakened a step, every fence
    /// and every wake left out, one at a time, and what the model then says is printed instead:
    /// `mutate.sh` makes a table of it.
    pub(crate) fn check(name: &str, order: Order, model: Model) {
        for spurious in [0, 1] {
            let model = Model::clone(&model);
            let model = move || model(order);
            let mut builder = verify::model::Builder::new();
            builder.spurious_wakeups = spurious;
            builder.max_duration = builder.max_duration.or(Some(super::time_for_one_run()));
            if std::env::var_os("MODEL_MUTATE").is_some() {
                for mutant in builder.mutate(model) {
                    let verdict = if mutant.caught.is_some() { "caught" } else { "survived" };
                    println!("MUTANT\t{verdict}\t{}\t{name}", mutant.change);
                }
                continue;
            }
            let report = builder.explore(model);
            println!("{name}: {report}, {spurious} spurious");
            if let Some(failure) = report.failure {
                panic!("{name}: {failure}");
            }
        }
    }

    /// Checks that the calls of an execution could have been those of the sequential object.
    #[track_caller]
    pub(crate) fn judge<S: verify::linear::Spec>(
        history: &verify::linear::History<S::Call, S::Return>,
        sequential: S,
    ) {
        history.check(sequential);
    }

    /// Checks that the checker finds something wrong with a model of something wrong, and says so
    /// in these words.
    pub(crate) fn breaks(words: &str, model: impl Fn() + Copy + Send + Sync + 'static) {
        let failure = verify::model::Builder::new()
            .explore(model)
            .failure
            .expect("what is broken is noticed");
        assert!(failure.message.contains(words), "{failure}");
    }

    /// The same: what is small for loom is no matter here.
    pub(crate) fn check_small(name: &str, order: Order, model: Model) {
        check(name, order, model);
    }

    /// As [`check`]: ours needs no bound.
    pub(crate) fn check_tight(name: &str, order: Order, model: Model) {
        check(name, order, model);
    }
}
