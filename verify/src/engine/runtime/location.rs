//! What ties the objects of the model to the locations of the graph.

use super::{Runtime, current, stop_if_failed, with};
use crate::engine::memory_model::event::{INIT, Id};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

/// What ties an object of the model to its location in the graph: the number of the execution in
/// which it was first touched, and the location. Objects made by `const fn` register themselves at
/// the first access; a static is a new object in every execution.
#[derive(Debug)]
pub(crate) struct Tag(AtomicU64);

const LOC_BITS: u32 = 24;

impl Tag {
    pub(crate) const fn new() -> Tag {
        Tag(AtomicU64::new(0))
    }

    /// Relaxed: only the thread that runs the execution looks at its own number.
    pub(in crate::engine) fn get(&self, exec: u64) -> Option<u32> {
        let v = self.0.load(Ordering::Relaxed);
        (v >> LOC_BITS == exec).then_some((v & ((1 << LOC_BITS) - 1)) as u32)
    }

    pub(in crate::engine) fn set(&self, exec: u64, loc: u32) {
        self.0.store(exec << LOC_BITS | u64::from(loc), Ordering::Relaxed);
    }

    /// Forgets the location: the object's own memory is its value again.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What an event acts on.
#[derive(Clone, Copy)]
pub(crate) enum Object<'a> {
    /// An object of the model, and the value it has if nobody has touched it.
    Tagged(&'a Tag, u64),
    /// The wait queue of an address.
    Queue(usize),
}

/// The newest value of an object, without a step.
pub(crate) fn peek(tag: &Tag, init: u64) -> u64 {
    let Some(rt) = current() else { return init };
    // SAFETY: no other reference to the runtime is alive here.
    let rt = unsafe { &*rt };
    match rt.known(tag) {
        Some(loc) => {
            let newest = rt.ex.graph.locs[loc as usize].mo.last().copied().unwrap_or(INIT);
            rt.ex.graph.value(loc, newest)
        }
        None => init,
    }
}

/// The value of an object that the current thread has for itself, or only reads: `shared`. Whoever
/// else has touched it has to come before. Who has it for himself may write to it: it is an object
/// of its own from here on.
pub(crate) fn exclusive(
    tag: &Tag,
    init: u64,
    shared: bool,
    site: &'static Location<'static>,
) -> u64 {
    stop_if_failed();
    with(|rt| {
        let Some(loc) = rt.known(tag) else { return };
        let g = &rt.ex.graph;
        let l = &g.locs[loc as usize];
        let others = l.mo.iter().chain(l.reads.iter().filter(|_| !shared));
        let run = |id: Id| rt.threads[g.ev(id).tid as usize].pos > g.ev(id).idx;
        let racing =
            others.copied().find(|&id| run(id) && !rt.ordered(g.ev(id).tid, g.ev(id).idx + 1));
        if let Some(id) = racing {
            let (first, tid) = (g.ev(id).label.site, g.ev(id).tid);
            rt.race("an access of an atomic that is not atomic itself".into(), first, tid, site);
        } else if shared {
            let access = (loc, rt.cur, rt.epoch(), site);
            rt.unsynced.push(access);
        }
    });
    stop_if_failed();
    let value = peek(tag, init);
    if !shared {
        tag.clear();
        with(|rt| rt.made_anew(std::ptr::from_ref(tag).addr()));
    }
    value
}

impl Runtime {
    /// The last value, in modification order, of an object of the execution that has just ended.
    pub(crate) fn newest(&self, tag: &Tag) -> Option<u64> {
        let loc = self.known(tag)?;
        let newest = self.ex.graph.locs[loc as usize].mo.last().copied().unwrap_or(INIT);
        Some(self.ex.graph.value(loc, newest))
    }

    /// The location of an object, if it has been touched in this run.
    fn known(&self, tag: &Tag) -> Option<u32> {
        // Another worker may have touched the same static meanwhile: then its address tells.
        tag.get(self.exec).or_else(|| {
            let foreign = self.parallel && tag.0.load(Ordering::Relaxed) != 0;
            let address = std::ptr::from_ref(tag).addr();
            let mine = || self.addresses.iter().rfind(|a| a.0 == address).map(|a| a.1);
            foreign.then(mine).flatten()
        })
    }

    pub(super) fn location_of(
        &mut self,
        object: Object<'_>,
        expected: Option<u32>,
    ) -> Result<u32, String> {
        let exec = self.exec;
        let known = match object {
            Object::Tagged(tag, _) => self.known(tag),
            Object::Queue(address) => self.queues.iter().find(|q| q.0 == address).map(|q| q.1),
        };
        if let Some(loc) = known {
            return match expected {
                Some(e) if e != loc => Err("it touched another object".into()),
                _ => Ok(loc),
            };
        }
        let init = match object {
            Object::Tagged(_, init) => init,
            Object::Queue(_) => 0,
        };
        let loc = match expected {
            Some(loc) => {
                if self.bound.get(loc as usize) == Some(&exec) {
                    return Err("it touched a new object".into());
                }
                self.ex.graph.locs[loc as usize].init = init;
                loc
            }
            None => self.ex.graph.add_loc(init),
        };
        if self.bound.len() <= loc as usize {
            self.bound.resize(loc as usize + 1, 0);
        }
        self.bound[loc as usize] = exec;
        match object {
            Object::Tagged(tag, _) => {
                tag.set(exec, loc);
                if let Some(provenance) = self.provenance_of(std::ptr::from_ref(tag).addr()) {
                    if self.provenances.len() <= loc as usize {
                        self.provenances.resize(loc as usize + 1, None);
                    }
                    self.provenances[loc as usize] = Some(provenance);
                }
                if self.parallel {
                    self.addresses.push((std::ptr::from_ref(tag).addr(), loc));
                }
            }
            Object::Queue(address) => self.queues.push((address, loc)),
        }
        Ok(loc)
    }
}
