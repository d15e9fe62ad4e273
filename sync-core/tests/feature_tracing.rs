//! The features `tracing` and `metrics`: what a subscriber and a recorder get of a wait.
#![cfg(all(feature = "tracing", feature = "metrics"))]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

const SHORT: Duration = Duration::from_millis(5);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sync_core"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().into());
        span.record(&mut fields);
        self.add(fields.0);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields("event".into());
        event.record(&mut fields);
        self.add(fields.0);
    }
    fn enter(&self, _: &Id) {
        self.add("enter".into());
    }
    fn exit(&self, _: &Id) {
        self.add("exit".into());
    }
}

/// Held by each test. The crate `tracing` remembers for each place in the code whether a subscriber
/// wants it, so a wait of the other test could decide that while no subscriber is there yet.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn a_wait_is_a_span_with_an_event() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let lock = sync_core::Mutex::new(());
        let held = lock.lock();
        assert!(lock.try_lock_for(SHORT).is_none());
        drop(held);
    });
    let lines = log.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("wait kind=\"Mutex\" address="), "{lines:?}");
    assert!(lines[0].contains("feature_tracing.rs"), "{lines:?}");
    assert_eq!((&*lines[1], &*lines[3]), ("enter", "exit"));
    assert!(lines[2].contains("waited_us=") && lines[2].contains("acquired=false"), "{lines:?}");
}

/// A subscriber whose log is behind a lock of ours, for which it waits in each callback.
struct OnOurLocks {
    log: sync_core::Mutex<Vec<&'static str>>,
    turns: sync_core::Semaphore,
}

impl OnOurLocks {
    fn add(&self, what: &'static str) {
        // It has to wait: all permits are taken.
        assert!(self.turns.try_acquire_for(SHORT).is_err());
        self.log.lock().push(what);
    }
}

impl Subscriber for OnOurLocks {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sync_core"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.add("new");
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.add("event");
    }
    fn enter(&self, _: &Id) {
        self.add("enter");
    }
    fn exit(&self, _: &Id) {
        self.add("exit");
    }
}

#[test]
fn a_subscriber_may_wait_for_our_locks() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let log = sync_core::Mutex::new(Vec::new());
    let subscriber = Arc::new(OnOurLocks { log, turns: sync_core::Semaphore::new(0) });
    tracing::subscriber::with_default(Arc::clone(&subscriber), || {
        let lock = sync_core::Mutex::new(());
        let held = lock.lock();
        assert!(lock.try_lock_for(SHORT).is_none());
        drop(held);
    });
    assert_eq!(*subscriber.log.lock(), ["new", "enter", "event", "exit"], "its own waits are not");
}

static WAITS: AtomicU64 = AtomicU64::new(0);
static GIVEN_UP: AtomicU64 = AtomicU64::new(0);
static MEASURED: AtomicU64 = AtomicU64::new(0);

struct Counts;

struct Measures;

impl metrics::HistogramFn for Measures {
    fn record(&self, seconds: f64) {
        assert!(seconds >= SHORT.as_secs_f64());
        MEASURED.fetch_add(1, Relaxed);
    }
}

/// Counts one semaphore's waits.
struct Adds(&'static AtomicU64);

impl metrics::CounterFn for Adds {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Relaxed);
    }
    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        assert!(key.labels().any(|label| (label.key(), label.value()) == ("kind", "Semaphore")));
        let counter = match key.name() {
            "sync_core_waits_total" => &WAITS,
            "sync_core_waits_given_up_total" => &GIVEN_UP,
            other => panic!("a counter {other}"),
        };
        Counter::from_arc(Arc::new(Adds(counter)))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        assert_eq!(key.name(), "sync_core_wait_seconds");
        Histogram::from_arc(Arc::new(Measures))
    }
}

#[test]
fn a_wait_is_counted_and_measured() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    metrics::with_local_recorder(&Counts, || {
        let semaphore = sync_core::Semaphore::new(0);
        assert!(semaphore.try_acquire_for(SHORT).is_err());
    });
    let counted = [&WAITS, &GIVEN_UP, &MEASURED].map(|counter| counter.load(Relaxed));
    assert_eq!(counted, [1, 1, 1]);
}
