//! Accesses that are not atomic: two of them, one a write, have to be ordered by happens-before.
//!
//! Source: Flanagan and Freund, "FastTrack: Efficient and Precise Dynamic Race Detection", PLDI
//! 2009. An access is in the stretch between two events of its thread; a stretch is an *epoch*,
//! the thread and the number of the event that ends it. Such accesses never branch: whether they
//! race depends on the graph alone.

use super::{Runtime, Tag, current, stop_if_failed, symmetry, with};
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
                w.active = w.active.saturating_sub(1);
                (w.tid, w.epoch) = (tid, epoch);
            }
        } else if let Some(r) = shadow.reads.iter_mut().find(|r| r.tid == tid) {
            (r.epoch, r.site) = (epoch, if begins { site } else { r.site });
            r.active = if begins { r.active + 1 } else { r.active.saturating_sub(1) };
        } else {
            shadow.reads.push(Access { tid, epoch, site, active: u32::from(begins), made: false });
        }
    }
}

/// The beginning of an access: a race stops the execution before it is made. Gives what `end`
/// wants.
pub(crate) fn begin(tag: &Tag, writes: bool, site: &'static Location<'static>) -> Option<usize> {
    current()?;
    symmetry::touch();
    let slot = with(|rt| {
        if rt.is_freed(std::ptr::from_ref(tag).addr(), site) {
            return 0;
        }
        let slot = rt.shadow(tag);
        rt.access(slot, writes, true, site);
        slot
    });
    stop_if_failed();
    Some(slot)
}

/// The end of an access: if events came meanwhile, it reaches up to here.
pub(crate) fn end(slot: Option<usize>, writes: bool, site: &'static Location<'static>) {
    let Some(slot) = slot else { return };
    if current().is_none() {
        return;
    }
    with(|rt| rt.access(slot, writes, false, site));
    if !std::thread::panicking() {
        stop_if_failed();
    }
}
