//! Ties the objects of the model to the locations of the graph.

use super::{Runtime, current, stop_if_failed, symmetry, with};
use crate::engine::memory_model::event::{INIT, Id};
use crate::engine::memory_model::graph::HB;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Ties an object of the model to its location in the graph: the number of the execution in
/// which it was first touched, and the location. Objects made by `const fn` register themselves at
/// the first access; a static is a new object in every execution.
#[derive(Debug)]
pub(crate) struct Tag(AtomicU64);

const LOC_BITS: u32 = 24;

/// In place of a location, with a number: the object has no event yet, but has been read by an
/// access that is not atomic.
const UNTOUCHED: u32 = 1 << (LOC_BITS - 1);

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

/// The object of an event.
#[derive(Clone, Copy)]
pub(crate) enum Object<'a> {
    /// An object of the model, and its value while no thread has touched it.
    Tagged(&'a Tag, u64),
    /// The wait queue of an address.
    Queue(usize),
}

/// Returns the newest value that this run has given an object, without a step. For output: which
/// threads have been run again so far depends on more than the graph.
pub(crate) fn peek(tag: &Tag, init: u64) -> u64 {
    let Some(rt) = current() else { return init };
    // SAFETY: no other reference to the runtime is alive here.
    let rt = unsafe { &*rt };
    let Some(loc) = rt.known(tag) else { return init };
    let g = &rt.ex.graph;
    let newest = g.locs[loc as usize].mo.iter().rev().copied().find(|&w| rt.has_run(w));
    g.value(loc, newest.unwrap_or(INIT))
}

/// Returns the oldest value that the current thread may read by coherence, without a step. When
/// every write of the object is ordered with this point, that is the value.
pub(crate) fn seen(tag: &Tag, init: u64) -> u64 {
    let Some(rt) = current() else { return init };
    // SAFETY: no other reference to the runtime is alive here.
    let rt = unsafe { &*rt };
    let Some(loc) = rt.known(tag) else { return init };
    let g = &rt.ex.graph;
    g.value(loc, g.at(loc, g.floor(loc, rt.here())))
}

/// Returns the value of an object for an access that is not atomic. The other threads that have
/// touched it have to come before.
///
/// `shared`: the access only reads, and other threads may read meanwhile. Otherwise the current
/// thread has the object for itself and may write to it: it is a new object from here on.
pub(crate) fn exclusive(
    tag: &Tag,
    init: u64,
    shared: bool,
    site: &'static Location<'static>,
) -> u64 {
    symmetry::touch();
    with(|rt| {
        if rt.is_freed(std::ptr::from_ref(tag).addr(), site) {
            return;
        }
        let known = rt.known(tag);
        let racing = known.and_then(|loc| {
            let g = &rt.ex.graph;
            let l = &g.locs[loc as usize];
            let others = l.mo.iter().chain(l.reads.iter().filter(|_| !shared));
            let unordered = |&id: &Id| !rt.ordered(g.ev(id).tid, g.ev(id).idx + 1);
            let racing = others.copied().find(|id| rt.has_run(*id) && unordered(id))?;
            Some((g.ev(racing).tid, g.ev(racing).label.site))
        });
        let place = known.or_else(|| tag.get(rt.exec));
        let racing = racing.or_else(|| {
            let unordered = |u: &&Unsynced| Some(u.loc) == place && !rt.ordered(u.tid, u.epoch);
            rt.unsynced.iter().filter(|_| !shared).find(unordered).map(|u| (u.tid, u.site))
        });
        if let Some((tid, first)) = racing {
            rt.race("an access of an atomic that is not atomic itself".into(), first, tid, site);
        } else if shared {
            let loc = place.unwrap_or_else(|| {
                let loc = UNTOUCHED | rt.unsynced.len() as u32;
                tag.set(rt.exec, loc);
                loc
            });
            let (tid, epoch) = (rt.cur, rt.epoch());
            rt.unsynced.push(Unsynced { loc, tid, epoch, site });
        }
    });
    stop_if_failed();
    let value = seen(tag, init);
    if !shared {
        tag.clear();
        with(|rt| rt.made_again(std::ptr::from_ref(tag).addr()));
    }
    value
}

/// The part of a running execution that is visible to threads of the system that are not the
/// model's.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Its number; 0 when none runs.
    exec: AtomicU64,
    /// A thread has been there that must not.
    intruded: AtomicBool,
    foreign_access: Mutex<Option<String>>,
}

static RUNS: Mutex<Vec<Weak<Run>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

// Relaxed, all of it: a thread that uses an object of an execution that just begins or ends is seen
// or not.
impl Run {
    pub(super) fn new() -> Arc<Run> {
        let run = Arc::new(Run::default());
        let mut runs = lock(&RUNS);
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(&run));
        run
    }

    pub(super) fn begin(&self, exec: u64) {
        self.exec.store(exec, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.exec.store(0, Ordering::Relaxed);
    }

    /// Returns what a thread did that is not one of the model's.
    pub(super) fn foreign_access(&self) -> Option<String> {
        if !self.intruded.load(Ordering::Relaxed) {
            return None;
        }
        self.intruded.store(false, Ordering::Relaxed);
        lock(&self.foreign_access).take()
    }
}

/// An object is used on a thread of the system that runs no model.
///
/// # Panics
/// When an execution that runs elsewhere has touched the object. That execution fails too.
pub(crate) fn refuse_strangers(tag: &Tag, site: &'static Location<'static>) {
    let exec = tag.0.load(Ordering::Relaxed) >> LOC_BITS;
    if exec == 0 {
        return;
    }
    let runs: Vec<Arc<Run>> = lock(&RUNS).iter().filter_map(Weak::upgrade).collect();
    let Some(run) = runs.iter().find(|run| run.exec.load(Ordering::Relaxed) == exec) else {
        return;
    };
    let thread = std::thread::current();
    let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_string);
    let message = format!(
        "the thread `{name}` of the system uses an object of the model at {site}: threads of a \
         model are made by the checker's own `thread::spawn`"
    );
    *lock(&run.foreign_access) = Some(message.clone());
    run.intruded.store(true, Ordering::Relaxed);
    panic!("{message}");
}

/// A read of an atomic that was not atomic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    /// The location, or a number marked [`UNTOUCHED`].
    loc: u32,
    tid: u32,
    epoch: u32,
    site: &'static Location<'static>,
}

impl Runtime {
    /// Returns whether an event of the graph has been done in this run.
    fn has_run(&self, id: Id) -> bool {
        let e = self.ex.graph.ev(id);
        self.threads[e.tid as usize].pos > e.idx
    }

    /// Returns whether the event `id`, just done, writes what another thread has read by an access
    /// that is not atomic and does not happen before it.
    pub(super) fn races_with_unsynced(&mut self, id: Id) -> bool {
        let e = self.ex.graph.ev(id);
        if !e.wrote || self.unsynced.is_empty() {
            return false;
        }
        let clock = self.ex.graph.clock(id, HB);
        let unordered = |u: &&Unsynced| {
            u.loc == e.label.loc && u.tid != e.tid && clock[u.tid as usize] < u.epoch
        };
        let Some(&Unsynced { tid, site: first, .. }) = self.unsynced.iter().find(unordered) else {
            return false;
        };
        let site = e.label.site;
        self.race("an access of an atomic that is not atomic itself".into(), first, tid, site);
        true
    }

    /// The last value, in modification order, of an object of the execution that has just ended.
    pub(crate) fn newest(&self, tag: &Tag) -> Option<u64> {
        let loc = self.known(tag)?;
        let newest = self.ex.graph.locs[loc as usize].mo.last().copied().unwrap_or(INIT);
        Some(self.ex.graph.value(loc, newest))
    }

    /// The location of an object, if it has been touched in this run.
    fn known(&self, tag: &Tag) -> Option<u32> {
        // Another worker may have touched the same static meanwhile: then its address decides.
        tag.get(self.exec).filter(|loc| loc & UNTOUCHED == 0).or_else(|| {
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
                if let Some(untouched) = tag.get(exec) {
                    let mine = |u: &&mut Unsynced| u.loc == untouched;
                    self.unsynced.iter_mut().filter(mine).for_each(|u| u.loc = loc);
                }
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
