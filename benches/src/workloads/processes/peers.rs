//! procspawn and mitosis, which bring some forty crates along.

use super::bare::now;
use super::{Few, small, spawned, text, timed};
use crate::compare::shapes::expect;
use crate::compare::subject::Contestant;

/// Lets this program be a child of procspawn and mitosis. In `main`, before its own work.
pub fn init() {
    mitosis::init();
    // Without the arguments of the program, which its own children do not have either.
    procspawn::ProcConfig::new().pass_args(false).init();
}

pub(super) fn procspawn_spawn() -> Option<Contestant> {
    let spawn = || procspawn::spawn((), |()| now()).join().map_err(text);
    Some(Contestant::new("procspawn", move || Few(move |n| spawned(n, spawn), 2)))
}

pub(super) fn mitosis_spawn() -> Option<Contestant> {
    let spawn = || {
        let child = mitosis::spawn((), |()| (now(), std::process::id()));
        let (first, pid) = child.join().map_err(|error| format!("{error:?}"))?;
        // It leaves that to its user, and gives no handle to do it.
        let mut status = 0;
        // SAFETY: a child of this process that was not waited for, and a place for its status.
        let waited = unsafe { libc::waitpid(pid as libc::pid_t, &raw mut status, 0) };
        if waited == pid as libc::pid_t { Ok(first) } else { Err("not its child".to_owned()) }
    };
    Some(Contestant::new("mitosis", move || Few(move |n| spawned(n, spawn), 2)))
}

pub(super) fn procspawn_apply() -> Option<Contestant> {
    Some(Contestant::new("procspawn", || {
        let pool = procspawn::Pool::new(1).expect("a process");
        let call =
            move |n| expect(small(n), pool.spawn(n, |n: u64| small(n)).join().map_err(text)?);
        Few(move |n| timed(n, &call), 100)
    }))
}
