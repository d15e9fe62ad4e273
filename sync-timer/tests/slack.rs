//! That the punctual sleep of our threads is not handed on to the threads and programs that user
//! code starts from them.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use sync_queue::ThreadPool;
use sync_timer::{Interval, Missed, Scheduler, Timer};

/// The calling thread's timer slack, in nanoseconds.
fn slack() -> u64 {
    rustix::thread::current_timer_slack().expect("Linux has it")
}

/// The slack of the calling thread, of a thread that it spawns, and of a program that it starts.
fn handed_on() -> [u64; 3] {
    let thread = std::thread::spawn(slack).join().unwrap();
    let program = Command::new("cat").arg("/proc/self/timerslack_ns").output().unwrap();
    let program = String::from_utf8_lossy(&program.stdout).trim().parse().unwrap();
    [slack(), thread, program]
}

#[test]
fn timer_slack_is_not_handed_on() {
    // Not what the dispatcher sleeps with, whatever this machine's default is.
    let usual = 70_000;
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(usual)).unwrap();
    let usual = [usual; 3];
    assert_eq!(handed_on(), usual);

    let (sender, receiver) = channel();
    let scheduler = Scheduler::new();
    // The first one may come before the dispatcher has slept; the later ones do not.
    scheduler
        .every(Duration::from_millis(2), Missed::Delay, move |_| _ = sender.send(handed_on()))
        .unwrap();
    for _ in 0..3 {
        assert_eq!(receiver.recv().unwrap(), usual, "a callback on the dispatcher");
    }
    drop(scheduler);

    let (sender, receiver) = channel();
    let pool = Arc::new(ThreadPool::new(1));
    let scheduler = Scheduler::builder().executor(pool).build().unwrap();
    // The dispatcher has slept before it makes the pool start its worker.
    scheduler.once(Duration::from_millis(2), move || sender.send(handed_on()).unwrap()).unwrap();
    assert_eq!(receiver.recv().unwrap(), usual, "a worker that the dispatcher started");
    drop(scheduler);

    let (sender, receiver) = channel();
    let timer = Timer::new(Duration::from_millis(2), move || sender.send(handed_on()).unwrap());
    timer.start().unwrap();
    assert_eq!(receiver.recv().unwrap(), usual, "the function of a Timer");

    let mut interval = Interval::new(Duration::from_millis(2));
    assert!(interval.tick().is_some());
    assert_eq!(handed_on(), usual, "after a tick of an Interval");
}
