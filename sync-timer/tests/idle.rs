//! That a scheduler with nothing to do does nothing: its thread makes no system call and is not
//! scheduled.
//!
//! The same by hand, with strace: see `examples/idle.rs`, and the README for what it shows.
#![cfg(target_os = "linux")]

use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

use sync_timer::Scheduler;

/// The facts that the system reports of a thread and that change only when the thread runs.
#[derive(Debug, PartialEq, Eq)]
struct Activity {
    /// The system call that it is in, with its arguments, stack and program counters; empty where
    /// the system does not report it.
    call: String,
    switches: Vec<String>,
    nanoseconds_run: String,
}

fn activity(task: &str) -> Activity {
    let read = |what: &str| {
        fs::read_to_string(format!("/proc/self/task/{task}/{what}")).unwrap_or_default()
    };
    let switches = read("status")
        .lines()
        .filter(|line| line.contains("ctxt_switches"))
        .map(str::to_owned)
        .collect();
    let nanoseconds_run = read("schedstat").split(' ').next().unwrap_or_default().to_owned();
    Activity { call: read("syscall"), switches, nanoseconds_run }
}

/// The number that the system gives the dispatcher, found by the name that it gives itself when it
/// begins.
fn task_named(name: &str) -> String {
    loop {
        let tasks = fs::read_dir("/proc/self/task").expect("Linux has it").flatten();
        let mut named = tasks.filter(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        });
        if let Some(task) = named.next() {
            return task.file_name().into_string().expect("a number");
        }
        std::thread::yield_now();
    }
}

/// Waits until a thread has been doing nothing for a while.
fn settled(task: &str) -> Activity {
    loop {
        let before = activity(task);
        std::thread::sleep(Duration::from_millis(50));
        if activity(task) == before {
            return before;
        }
    }
}

/// No tick wakes it: over a time in which a wheel with 1 ms ticks would have woken up 300 times.
fn sleeps(scheduler: Scheduler, name: &str) {
    let task = task_named(name);
    let before = settled(&task);
    assert!(!before.switches.is_empty());
    if before.call.contains(' ') {
        let futex = if cfg!(target_arch = "x86_64") { "202 " } else { "98 " };
        assert!(before.call.starts_with(futex), "it sleeps in a futex wait: {}", before.call);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(activity(&task), before);
    drop(scheduler);
}

#[test]
fn an_empty_scheduler_makes_no_system_calls() {
    sleeps(Scheduler::builder().name("idle-empty").build().unwrap(), "idle-empty");
}

#[test]
fn a_scheduler_that_waits_makes_no_system_calls_and_later_timers_do_not_wake_it() {
    let scheduler = Scheduler::builder().name("idle-waits").build().unwrap();
    scheduler.once(Duration::from_secs(60), || ()).unwrap();
    let task = task_named("idle-waits");
    let before = settled(&task);
    for n in 0..1000 {
        let handle = scheduler.once(Duration::from_secs(61 + n % 3600), || ()).unwrap();
        if n % 2 == 0 {
            let _ = handle.cancel();
        }
    }
    assert_eq!(activity(&task), before, "none of them is earlier, so no thread need be woken");
    sleeps(scheduler, "idle-waits");
}

#[test]
fn a_far_timer_costs_one_wake_up() {
    let scheduler = Scheduler::builder().name("idle-once").build().unwrap();
    let task = task_named("idle-once");
    settled(&task);
    let (sender, receiver) = channel();
    // Far enough that a wheel would sort it down several levels.
    scheduler.once(Duration::from_millis(400), move || sender.send(()).unwrap()).unwrap();
    let waiting = settled(&task);
    receiver.recv().unwrap();
    let after = settled(&task);
    let voluntary = |activity: &Activity| {
        let line = activity
            .switches
            .iter()
            .find(|line| line.starts_with("voluntary"))
            .expect("Linux counts them");
        line.rsplit(['\t', ' '])
            .next()
            .and_then(|number| number.parse::<u64>().ok())
            .expect("a number")
    };
    let woken = voluntary(&after) - voluntary(&waiting);
    assert!(woken >= 1, "it went back to sleep");
    assert!(
        woken <= 3,
        "woken {woken} times for one timer; the callback's own wake-up of the receiver may add to \
         it"
    );
}

#[test]
fn its_thread_asks_to_be_woken_on_time() {
    let scheduler = Scheduler::new();
    let (sender, receiver) = channel();
    // The system tells a thread its own slack only.
    scheduler
        .once(Duration::ZERO, move || {
            sender.send(fs::read_to_string("/proc/thread-self/timerslack_ns")).unwrap()
        })
        .unwrap();
    if let Ok(slack) = receiver.recv().unwrap() {
        assert_eq!(slack.trim(), "1");
    }
}
