//! Accesses that are not atomic: two of them, one a write, have to be ordered by happens-before.
//!
//! Source: Flanagan and Freund, "FastTrack: Efficient and Precise Dynamic Race Detection", PLDI
//! 2009. An access is in the stretch between two events of its thread; a stretch is an *epoch*,
//! the thread and the number of the event that ends it. Such accesses never branch: whether they
//! race depends on the graph alone.

use super::{Runtime, Tag, current, stop_if_failed, symmetry, with};
use crate::engine::memory_model::graph::HB;
use crate::engine::report::failure;
use std::panic::Location;

#[derive(Clone, Copy, Debug)]
struct Access {
    tid: u32,
    epoch: u32,
    site: &'static Location<'static>,
    /// The number of accesses of the thread that are going on.
    active: u32,
    /// Not an access of the cell: it was made then.
    made: bool,
}

/// The record of one cell in this run.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    write: Option<Access>,
    reads: Vec<Access>,
}

impl Runtime {
    fn shadow(&mut self, tag: &Tag) -> usize {
        let exec = self.exec();
        if let Some(i) = tag.get(exec) {
            return i as usize;
        }
        let provenance = self.provenance_of(std::ptr::from_ref(tag).addr());
        let made = provenance.map(|b| Access {
            tid: b.tid,
            epoch: b.epoch,
            site: b.site,
            active: 0,
            made: true,
        });
        self.shadows.push(Shadow { write: made, reads: Vec::new() });
        let i = self.shadows.len() - 1;
        tag.set(exec, i as u32);
        i
    }

    pub(in crate::engine) fn race(
        &mut self,
        what: String,
        first: &'static Location<'static>,
        tid: u32,
        site: &'static Location<'static>,
    ) {
        let second = self.cur();
        self.fail(failure::Kind::Race { what, first, second: site, threads: (tid, second) });
    }

    fn access(&mut self, i: usize, writes: bool, begins: bool, site: &'static Location<'static>) {
        let (tid, epoch) = (self.cur(), self.epoch());
        let conflict = {
            let shadow = &self.shadows[i];
            let bad = |a: &&Access| !self.ordered(a.tid, a.epoch) || (begins && a.active > 0);
            let what = if writes { "write" } else { "read" };
            shadow
                .write
                .as_ref()
                .filter(bad)
                .map(|a| (format!("a {what} of a cell that is written"), *a))
                .or_else(|| {
                    let read = shadow.reads.iter().filter(|_| writes).find(bad);
                    read.map(|a| (String::from("a write of a cell that is read"), *a))
                })
        };
        if let Some((mut what, first)) = conflict {
            if first.active > 0 && self.gone(first.tid) {
                what = String::from("a torn write: the process vanished in the middle of it");
            }
            if first.made {
                what = String::from(
                    "an access of a cell that another thread made, after the step that is named \
                     first",
                );
            }
            self.race(what, first.site, first.tid, site);
            return;
        }
        let shadow = &mut self.shadows[i];
        if writes {
            if begins {
                shadow.reads.clear();
                shadow.write = Some(Access { tid, epoch, site, active: 1, made: false });
            } else if let Some(w) = &mut shadow.write {
                (w.tid, w.epoch) = (tid, epoch);
            }
        } else if let Some(r) = shadow.reads.iter_mut().find(|r| r.tid == tid) {
            (r.epoch, r.site) = (epoch, if begins { site } else { r.site });
            r.active += u32::from(begins);
        } else {
            shadow.reads.push(Access { tid, epoch, site, active: u32::from(begins), made: false });
        }
    }

    /// Ends an access that thread `began` has begun.
    fn release(&mut self, i: usize, writes: bool, began: u32) {
        let shadow = &mut self.shadows[i];
        let access = if writes {
            shadow.write.as_mut()
        } else {
            shadow.reads.iter_mut().find(|r| r.tid == began)
        };
        if let Some(access) = access {
            access.active = access.active.saturating_sub(1);
        }
    }

    /// Extends an access to the last event before the current point: to the stretch in front of
    /// that event. If the current thread has nothing to do with the access before that event, the
    /// access reaches up to here.
    fn reaches_last_event(
        &mut self,
        i: usize,
        writes: bool,
        began: u32,
        site: &'static Location<'static>,
    ) {
        let (tid, epoch) = (self.cur(), self.epoch());
        let shadow = &self.shadows[i];
        let access = if writes {
            shadow.write
        } else {
            // The thread's own entry is as new as that of the thread that began.
            let of = |t: u32| shadow.reads.iter().find(|r| r.tid == t).copied();
            of(tid).or_else(|| of(began))
        };
        let Some(access) = access else { return };
        let known = access.tid == tid || {
            let before = self.before_last_event();
            before.is_some_and(|id| {
                let clock = self.ex.graph.clock(id, HB);
                clock.get(access.tid as usize).is_some_and(|&c| c >= access.epoch)
            })
        };
        let reached = if known { epoch - 1 } else { epoch };
        let shadow = &mut self.shadows[i];
        if writes {
            if let Some(w) = &mut shadow.write {
                w.epoch = if w.tid == tid { w.epoch.max(reached) } else { reached };
                w.tid = tid;
            }
        } else if let Some(r) = shadow.reads.iter_mut().find(|r| r.tid == tid) {
            r.epoch = r.epoch.max(reached);
        } else {
            shadow.reads.push(Access { tid, epoch: reached, site, active: 0, made: false });
        }
    }
}

/// An access of a cell that is going on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ongoing {
    slot: usize,
    writes: bool,
    began: u32,
    site: &'static Location<'static>,
}

/// Begins an access. A race stops the execution before the access is made.
pub(crate) fn begin(tag: &Tag, writes: bool, site: &'static Location<'static>) -> Option<Ongoing> {
    current()?;
    symmetry::touch();
    let ongoing = with(|rt| {
        let began = rt.cur();
        if rt.is_freed(std::ptr::from_ref(tag).addr(), site) {
            return Ongoing { slot: 0, writes, began, site };
        }
        let slot = rt.shadow(tag);
        rt.access(slot, writes, true, site);
        Ongoing { slot, writes, began, site }
    });
    stop_if_failed();
    Some(ongoing)
}

impl Ongoing {
    /// Notes that the access is made here too, which is after events of its thread, perhaps.
    pub(crate) fn reaches_here(self) {
        let step = |rt: &mut Runtime| rt.access(self.slot, self.writes, false, self.site);
        self.note(step);
    }

    /// Ends an access that lasts up to here.
    pub(crate) fn end(self) {
        self.note(|rt| {
            rt.access(self.slot, self.writes, false, self.site);
            rt.release(self.slot, self.writes, self.began);
        });
    }

    /// Ends an access whose guard is dropped: it lasts at least up to the last event before.
    ///
    /// The drop itself touches nothing. A guard in a struct is dropped after the body of the
    /// struct's `drop`, which may hand the cell on by its last event. As long as the guard lives
    /// during a later event, the access is going on.
    pub(crate) fn end_of_guard(self) {
        self.note(|rt| {
            rt.reaches_last_event(self.slot, self.writes, self.began, self.site);
            rt.release(self.slot, self.writes, self.began);
        });
    }

    fn note(self, step: impl FnOnce(&mut Runtime)) {
        if current().is_none() {
            return;
        }
        with(step);
        if !std::thread::panicking() {
            stop_if_failed();
        }
    }
}
