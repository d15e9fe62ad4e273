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
/// A model that spawns no threads of its own, `fn name(_order) { ... }`, is one test: `forward`.
///
/// Words before the body say how far it is explored, see [`Size`]: `fn name(order) small { ... }`.
macro_rules! model {
    ($(#[doc = $doc:literal])* fn $name:ident(_order) $($size:ident)* $body:block) => {
        model! {
            @ $(#[doc = $doc])* $name(_order: $crate::support::Order) $body
            [$($size)*] forward Forward
        }
    };
    ($(#[doc = $doc:literal])* fn $name:ident($order:ident) $($size:ident)* $body:block) => {
        model! {
            @ $(#[doc = $doc])* $name($order: $crate::support::Order) $body
            [$($size)*] forward Forward, reversed Reversed
        }
    };
    (@ $(#[doc = $doc:literal])* $name:ident($order:ident: $type:ty) $body:block
     $size:tt $($test:ident $variant:ident),*) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(
                unused_imports,
                reason = "a model that needs nothing of its file is a model all the same"
            )]
            use super::*;

            fn model($order: $type) $body

            $(
                #[test]
                fn $test() {
                    $crate::support::check(
                        concat!(module_path!(), "::", stringify!($test)),
                        $crate::support::Order::$variant,
                        model!(@ size $size),
                        std::sync::Arc::new(model),
                    );
                }
            )*
        }
    };
    (@ size [$($size:ident)*]) => { $crate::support::Size::DEFAULT$(.$size())* };
}

/// How far a model is explored: always within bounds that are counts and not times, so that a model
/// does the same on every machine.
///
/// The defaults are such that all models together, built and explored under both checkers, take six
/// minutes of two processors. Most of that goes into models whose end is out of reach. A longer
/// look at these is `cargo verify --deep`, and a part of each run of CI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    kind: Kind,
    is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Default,
    Small,
    Tight,
}

impl Size {
    /// A model of a few calls: with three preemptions under loom, whose reduction is not optimal.
    /// Without a bound three threads at a lock take hours. Our own checker needs no such bound.
    pub(crate) const DEFAULT: Size = Size { kind: Kind::Default, is_whole: false };

    /// A model that has a whole thread of the library in it, and locks: with two preemptions, and
    /// without impatience, which is the locks' own matter.
    pub(crate) const fn small(self) -> Size {
        Size { kind: Kind::Small, ..self }
    }

    /// A model of three threads of a queue that may all sleep: with one preemption.
    pub(crate) const fn tight(self) -> Size {
        Size { kind: Kind::Tight, ..self }
    }

    /// A model that is explored to the end, but with more executions than others get.
    pub(crate) const fn whole(self) -> Size {
        Size { is_whole: true, ..self }
    }

    /// The most executions of a setting of a model, those included that are given up: `default`, or
    /// `whole`, times the depth, or what MODEL_EXECUTIONS says.
    fn most_executions(self, default: usize, whole: usize) -> usize {
        match std::env::var("MODEL_EXECUTIONS") {
            Ok(text) => text.parse().expect("MODEL_EXECUTIONS is a number"),
            Err(_) => depth() * if self.is_whole { whole } else { default },
        }
    }
}

/// How many times as far as by default models are explored: `cargo verify --deep`.
fn depth() -> usize {
    std::env::var("MODEL_DEEP")
        .map_or(1, |times| times.parse().expect("MODEL_DEEP is a number of times"))
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

/// The result of the exploration of one setting of one model.
struct Outcome {
    engine: &'static str,
    executions: u64,
    /// Executions that were given up. Loom has none.
    blocked: u64,
    /// Events of the longest execution. Loom does not count them.
    events: Option<u64>,
    bounds: String,
    /// The limit that was reached before everything was explored.
    limit: Option<String>,
    failure: Option<String>,
}

impl Outcome {
    /// Prints the outcome, and appends it as one line of JSON to the file that MODEL_REPORT names,
    /// which `cargo verify` reads.
    fn record(&self, model: &str, stopwatch: Stopwatch) {
        let seconds = stopwatch.seconds();
        let limit = match &self.limit {
            Some(limit) => format!(", not all explored: {limit}"),
            None => String::new(),
        };
        println!(
            "{model}: {} executions, {} blocked, {seconds:.3} s{limit} ({})",
            self.executions, self.blocked, self.bounds
        );
        append(serde_json::json!({
            "model": test_of(model),
            "label": model,
            "engine": self.engine,
            "executions": self.executions,
            "blocked": self.blocked,
            "events": self.events,
            "seconds": seconds,
            "bounds": self.bounds,
            "limit": self.limit,
            "failure": self.failure,
        }));
    }
}

/// The name of the test that explores the model. A test may explore several; `label` tells them
/// apart. It is also the name where the test has the main thread, which has none.
fn test_of(label: &str) -> String {
    std::thread::current()
        .name()
        .filter(|name| name.contains("::"))
        .unwrap_or_else(|| label.strip_prefix("models::").unwrap_or(label))
        .to_owned()
}

/// Appends a line to the file that MODEL_REPORT names, in one write: the tests run in parallel.
fn append(line: serde_json::Value) {
    use std::io::Write;
    if let Some(path) = std::env::var_os("MODEL_REPORT") {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("the file that MODEL_REPORT names can be written");
    }
}

/// Measures the processor time of a model's thread. On a busy machine the time of day says little.
struct Stopwatch(std::time::Duration);

impl Stopwatch {
    fn start() -> Self {
        Self(Self::now())
    }

    fn seconds(&self) -> f64 {
        (Self::now() - self.0).as_secs_f64()
    }

    #[cfg(unix)]
    fn now() -> std::time::Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.try_into().expect("processor time is not negative")
    }

    #[cfg(not(unix))]
    fn now() -> std::time::Duration {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        START.elapsed()
    }
}

#[cfg(target_os = "linux")]
pub(crate) use checker::on_death;
#[cfg(sync_verify)]
pub(crate) use checker::wakes_left_out;
pub(crate) use checker::{Arc, Tracked, all_asleep, breaks, check, judge};

#[cfg(loom)]
mod checker {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicU64, Ordering};

    use sync_core::primitive::{Knobs, set_knobs};

    use super::{Kind, Model, Order, Size};

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

    /// Explores the model once for every setting of the knobs. LOOM_MAX_PREEMPTIONS overrides the
    /// bound.
    pub(crate) fn check(name: &str, order: Order, size: Size, model: Model) {
        for impatient in [false, true] {
            for spurious in [0, 1] {
                if !impatient || size.kind == Kind::Default {
                    explore_one(name, size, Knobs { spurious, impatient }, order, &model);
                }
            }
        }
    }

    /// The most steps of an execution. The longest models, which walk through a block of a queue,
    /// have some two thousand.
    const BRANCHES: usize = 20_000;

    /// Loom does not tell which of two calls of different threads happened before the other: a
    /// history is checked by ours alone.
    pub(crate) fn judge<S: verify::linear::Spec>(
        _: &verify::linear::History<S::Call, S::Return>,
        _: S,
    ) {
    }

    /// A fault that only [`judge`] can notice goes unnoticed here.
    pub(crate) fn breaks(_: &str, _: impl Fn() + Copy + Send + Sync + 'static) {}

    fn explore_one(name: &str, size: Size, knobs: Knobs, order: Order, model: &Model) {
        let preemptions = match size.kind {
            Kind::Default => 3,
            Kind::Small => 2,
            Kind::Tight => 1,
        };
        let mut builder = loom::model::Builder::new();
        let preemptions = *builder
            .preemption_bound
            .get_or_insert_with(|| preemptions + usize::from(super::depth() > 1));
        if std::env::var_os("LOOM_MAX_BRANCHES").is_none() {
            builder.max_branches = BRANCHES;
        }
        let most = builder.max_permutations.unwrap_or_else(|| size.most_executions(5_000, 10_000));
        // Loom counts from one, and stops before the execution of this number. It looks at the
        // limit once in this many executions.
        builder.max_permutations = Some(most.saturating_add(1));
        builder.checkpoint_interval = 1;
        let bounds = format!(
            "{preemptions} preemptions, {} spurious wake-ups, {}",
            knobs.spurious,
            if knobs.impatient { "impatient" } else { "patient" }
        );

        let stopwatch = super::Stopwatch::start();
        let executions = std::sync::Arc::new(AtomicU64::new(0));
        let run = {
            let (executions, model) = (std::sync::Arc::clone(&executions), Model::clone(model));
            move || {
                executions.fetch_add(1, Ordering::Relaxed);
                set_knobs(knobs);
                model(order);
            }
        };
        let end = catch_unwind(AssertUnwindSafe(|| builder.check(run)));
        let executions = executions.load(Ordering::Relaxed);
        let mut outcome = super::Outcome {
            engine: "loom",
            executions,
            blocked: 0,
            events: None,
            bounds,
            limit: (executions >= most as u64).then(|| format!("{executions} executions")),
            failure: None,
        };
        let Err(payload) = end else { return outcome.record(name, stopwatch) };
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a panic whose payload is not a string");
        if message.contains(OUT_OF_BRANCHES) {
            // Loom panics at this limit, and cannot go on from there. An endless loop of a model
            // ends here too; our own checker, which runs the same model, knows endless loops.
            outcome.limit = Some(format!("an execution of {} steps", builder.max_branches));
            return outcome.record(name, stopwatch);
        }
        outcome.failure = Some(message.to_owned());
        outcome.record(name, stopwatch);
        resume_unwind(payload);
    }

    /// The message of loom when an execution has more steps than it may have.
    const OUT_OF_BRANCHES: &str = "Model exceeded maximum number of branches";
}

#[cfg(sync_verify)]
mod checker {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, PoisonError};

    pub(crate) use verify::sync::Arc;

    use super::{Kind, Model, Order, Size};

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
        // A time is up early once in an execution, and otherwise when no other thread can run: so
        // the second time at the latest.
        for _ in 0..2 {
            verify::futex::wait_timeout(&nobody_wakes, 0);
        }
        true
    }

    /// Registers what the kernel does when the calling process vanishes.
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
    /// With MODEL_MUTATE set, every ordering that the model uses is weakened a step, every fence
    /// and every wake left out, one at a time, and the report lists each change and whether the
    /// model noticed it: `cargo verify --mutate` makes a table of it.
    pub(crate) fn check(name: &str, order: Order, size: Size, model: Model) {
        let most = match size.kind {
            Kind::Default => size.most_executions(20_000, 50_000),
            Kind::Small | Kind::Tight => size.most_executions(5_000, 10_000),
        };
        for spurious in [0, 1] {
            let model = Model::clone(&model);
            let model = move || model(order);
            let mut builder = verify::model::Builder::new();
            builder.spurious_wakeups = spurious;
            builder.max_permutations.get_or_insert(most);
            let stopwatch = super::Stopwatch::start();
            if std::env::var_os("MODEL_MUTATE").is_some() {
                mutate(name, &builder, model);
                continue;
            }
            let report = builder.explore(model);
            let outcome = super::Outcome {
                engine: "verify",
                executions: report.executions,
                blocked: report.blocked,
                events: Some(report.events),
                bounds: report.bounds,
                limit: (!report.complete && report.failure.is_none()).then(|| {
                    let count = report.executions + report.blocked;
                    format!("{count} executions, given up ones included")
                }),
                failure: report.failure.as_ref().map(|failure| failure.message.clone()),
            };
            outcome.record(name, stopwatch);
            if let Some(failure) = report.failure {
                panic!("{name}: {failure}");
            }
        }
    }

    /// Changes the model, one place at a time, and reports what it noticed.
    ///
    /// A change that a model before this one noticed is not tried again, and changes of the models
    /// themselves are not tried. MODEL_SAMPLE=K/N tries those alone whose hash is K modulo N,
    /// MODEL_ONLY those that contain one of its words (`selector.rs:120:19`), and MODEL_SKIP names
    /// a file with changes, one a line, that are not tried.
    fn mutate(
        name: &str,
        builder: &verify::model::Builder,
        model: impl Fn() + Send + Sync + 'static,
    ) {
        static CAUGHT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let caught = || CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = std::env::var("MODEL_SAMPLE").ok().map(|text| {
            let (k, n) = text.split_once('/').expect("MODEL_SAMPLE is K/N");
            let number = |text: &str| text.parse::<u64>().expect("K and N are numbers");
            (number(k), number(n))
        });
        let skipped: BTreeSet<String> = match std::env::var_os("MODEL_SKIP") {
            Some(path) => {
                let text = std::fs::read_to_string(path).expect("MODEL_SKIP is a file");
                text.lines().map(str::to_owned).collect()
            }
            None => BTreeSet::new(),
        };
        let only = std::env::var("MODEL_ONLY").ok();
        let keep = |change: &str| {
            let is_chosen = sample.is_none_or(|(k, n)| fnv1a(&identity(change)) % n == k % n);
            let has_word = |only: &String| only.split(' ').any(|word| change.contains(word));
            is_chosen
                && only.as_ref().is_none_or(has_word)
                && change.starts_with("sync-")
                && !skipped.contains(change)
                && !caught().contains(change)
        };
        for mutant in builder.mutate_some(model, keep) {
            if mutant.caught.is_some() {
                caught().insert(mutant.change.clone());
            }
            super::append(serde_json::json!({
                "model": super::test_of(name),
                "change": mutant.change,
                "caught": mutant.caught,
                "executions": mutant.executions,
            }));
        }
    }

    /// Returns the places of the wakes of a model that a change leaves out.
    pub(crate) fn wakes_left_out(model: impl Fn() + Send + Sync + 'static) -> Vec<String> {
        let is_wake = |change: &str| change.ends_with("no wake");
        let mutants = verify::model::Builder::new().mutate_some(model, is_wake);
        mutants.into_iter().map(|mutant| mutant.change).collect()
    }

    /// Returns a change in a form that outlives changes elsewhere in the file, so that it stays in
    /// its sample: the file, the text of the line, and what is changed.
    fn identity(change: &str) -> String {
        let parse = || {
            let (place, what) = change.split_once(": ")?;
            let mut place = place.rsplitn(3, ':').skip(1);
            let (line, file) = (place.next()?.parse::<usize>().ok()?, place.next()?);
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
            let text = std::fs::read_to_string(root.join(file)).ok()?;
            let code = text.lines().nth(line.checked_sub(1)?)?.trim();
            Some(format!("{file}: {code}: {what}"))
        };
        parse().unwrap_or_else(|| change.to_owned())
    }

    /// The FNV-1a hash: the same in every run and on every machine.
    fn fnv1a(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
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
}
