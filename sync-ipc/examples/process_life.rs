//! A process's life: start, name, pid, is_alive, join with a timeout, terminate, exit code, a
//! daemon.
//!
//! Python: `p = Process(target=f, args=(1,), name="worker", daemon=True)`, `p.start()`, `p.pid`,
//! `p.is_alive()`, `p.join(timeout)`, `p.terminate()`, `p.exitcode`, `active_children()`.
#![forbid(unsafe_code)]

use std::time::Duration;

use sync_ipc::{Process, ProcessError, active_children, current_process, parent_process};

fn introduce(greeting: String) -> String {
    let parent = parent_process().expect("started by another process");
    format!("{greeting} from {}, child of {}", current_process().name(), parent.name())
}

fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

fn fail() {
    panic!("no such luck");
}

sync_ipc::entry!(introduce, sleep, fail);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sync_ipc::init();

    let process = Process::builder(introduce).name("worker").spawn("hello".to_owned())?;
    println!("{} runs as process {}", process.name(), process.pid());
    println!("it says: {}", process.result()?);

    let process = Process::spawn(sleep, 60)?;
    println!(
        "{}: alive: {}, listed: {}",
        process.name(),
        process.is_alive(),
        active_children().len()
    );
    println!("after 50 ms: {:?}", process.join_timeout(Duration::from_millis(50))?);
    process.terminate()?;
    println!("terminated: exit code {}", process.join()?);

    let process = Process::spawn(fail, ())?;
    println!("failed: exit code {}", process.join()?);
    match process.result() {
        Err(ProcessError::Panicked(panic)) => {
            println!("because: {}, at {}", panic.message, panic.location.unwrap_or_default());
        }
        other => println!("{other:?}"),
    }

    let daemon = Process::builder(sleep).daemon(true).spawn(60)?;
    println!("{} is a daemon: it ends with this program, even if that is killed", daemon.name());
    Ok(())
}
