//! The request of a thread for a step.

use super::crash::vanish_or_not;
use super::{Object, Outcome, Runtime, current, provenance};
use crate::engine::memory_model::event::Label;

/// Requests an event. `object` is what it acts on, with its value while no thread has touched it.
#[inline]
pub(crate) fn request_step(label: Label, object: Option<Object<'_>>) -> Outcome {
    let rt = current().unwrap_or_else(|| {
        panic!("an object of the model checker was used outside of `model` at {}", label.site)
    });
    // SAFETY: the runtime lives as long as the pointer is set, and only one coroutine runs at a
    // time; no reference into it is held across a switch.
    unsafe {
        provenance::leave();
        let out = Runtime::perform(rt, label, object);
        Runtime::enter(rt);
        if out.wrote && (*rt).may_vanish() {
            vanish_or_not(rt, label.site);
        }
        out
    }
}
