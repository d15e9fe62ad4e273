//! Processes that vanish.

use super::{Runtime, State};
use std::panic::Location;

/// After a write of a process: it goes on, or it is gone.
#[cold]
pub(super) fn vanish_or_not(rt: *mut Runtime, site: &'static Location<'static>) {
    if crate::engine::object::choose(2, crate::engine::extend::CRASH, site) == 0 {
        return;
    }
    // SAFETY: on the coroutine of the current thread; references end before each switch.
    unsafe {
        let t = (*rt).cur as usize;
        let deaths = {
            let thread = &mut (&mut (*rt).threads)[t];
            thread.gone = true;
            std::mem::take(&mut thread.deaths)
        };
        for death in deaths.into_iter().rev() {
            death();
        }
        (&mut (*rt).threads)[t].state = State::Finished;
        loop {
            Runtime::switch(rt);
        }
    }
}

impl Runtime {
    /// Whether the current thread is one that may vanish here.
    pub(super) fn may_vanish(&self) -> bool {
        let thread = &self.threads[self.cur as usize];
        thread.mortal && !thread.gone && !self.aborting
    }

    pub(crate) fn set_mortal(&mut self, mortal: bool) {
        self.threads[self.cur as usize].mortal = mortal;
    }

    pub(crate) fn on_death(&mut self, f: Box<dyn FnOnce()>) {
        self.threads[self.cur as usize].deaths.push(f);
    }

    /// Whether a thread has vanished.
    pub(in crate::engine) fn gone(&self, tid: u32) -> bool {
        self.threads[tid as usize].gone
    }
}
