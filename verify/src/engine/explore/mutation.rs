//! Changing one place of a model: an ordering that is a step weaker or stronger, a fence that is
//! not there, a wake that does not happen.

use crate::engine::memory_model::event::{Kind, Label, Rmw};
use crate::engine::memory_model::graph::Graph;
use std::panic::Location;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// A change of what is done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub site: &'static Location<'static>,
    pub kind: Kind,
    /// The ordering there: a function that is called with different ones is different places.
    pub from: Ordering,
    pub to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Another ordering.
    Order(Ordering),
    /// Another ordering of a failure.
    Failure(Ordering),
    /// Nothing is done.
    Nothing,
    /// One is woken in place of all.
    WakeOne,
}

pub(crate) enum Effect {
    Go,
    Skip,
}

impl Change {
    pub(crate) fn applies(&self, label: &Label) -> bool {
        label.kind == self.kind && label.ord == self.from && label.site == self.site
    }

    pub(crate) fn apply(&self, label: &mut Label) -> Effect {
        match self.to {
            To::Order(o) => label.ord = o,
            To::Failure(o) => label.fail = o,
            To::WakeOne => (label.a, label.b) = (label.a.min(1), label.b.min(1)),
            To::Nothing if label.kind == Kind::Fence => return Effect::Skip,
            To::Nothing => (label.a, label.b) = (0, 0),
        }
        Effect::Go
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        let place = format!("{}:{}:{}", self.site.file(), self.site.line(), self.site.column());
        match (self.to, self.kind) {
            (To::Order(o), kind) => {
                format!("{place}: {kind:?} with {o:?} in place of {:?}", self.from)
            }
            (To::Failure(o), _) => format!("{place}: failure with {o:?}"),
            (To::Nothing, Kind::Fence) => format!("{place}: no fence"),
            (To::Nothing, _) => format!("{place}: no wake"),
            (To::WakeOne, _) => format!("{place}: wake one for wake all"),
        }
    }
}

/// The orderings a step weaker.
fn weaker(kind: Kind, ord: Ordering) -> &'static [Ordering] {
    match (kind, ord) {
        (Kind::Load, SeqCst) => &[Acquire],
        (Kind::Store, SeqCst) => &[Release],
        (_, SeqCst) => &[AcqRel],
        (_, AcqRel) => &[Acquire, Release],
        (Kind::Fence, _) => &[],
        (_, Acquire | Release) => &[Relaxed],
        _ => &[],
    }
}

/// The orderings a step stronger.
fn stronger(kind: Kind, ord: Ordering) -> &'static [Ordering] {
    match (kind, ord) {
        (Kind::Load, Relaxed) => &[Acquire, SeqCst],
        (Kind::Store, Relaxed) => &[Release, SeqCst],
        (Kind::Rmw, Relaxed) => &[Acquire, Release, AcqRel, SeqCst],
        (Kind::Load, Acquire) | (Kind::Store, Release) => &[SeqCst],
        (_, Acquire | Release) => &[AcqRel, SeqCst],
        (_, AcqRel) => &[SeqCst],
        _ => &[],
    }
}

/// The model's own places: the label of an event there, one for each place.
pub(crate) fn sites(g: &Graph, into: &mut Vec<Label>) {
    for e in &g.events {
        let l = e.label;
        let wake = l.kind == Kind::Rmw && l.rmw == Rmw::Wake;
        let atomic =
            matches!(l.kind, Kind::Load | Kind::Store | Kind::Fence | Kind::Rmw) && !l.native;
        if (atomic || wake)
            && !into.iter().any(|s| s.site == l.site && s.kind == l.kind && s.ord == l.ord)
        {
            into.push(l);
        }
    }
}

/// Every weakening of a place by one step.
pub(crate) fn weakenings(label: &Label) -> Vec<Change> {
    let change = |to| Change { site: label.site, kind: label.kind, from: label.ord, to };
    if label.kind == Kind::Rmw && label.rmw.is_queue() {
        return match label.rmw {
            Rmw::Wake if label.a > 1 => vec![change(To::Nothing), change(To::WakeOne)],
            Rmw::Wake => vec![change(To::Nothing)],
            _ => Vec::new(),
        };
    }
    let mut out: Vec<Change> =
        weaker(label.kind, label.ord).iter().map(|&o| change(To::Order(o))).collect();
    if matches!(label.rmw, Rmw::Cas | Rmw::WeakCas) && label.kind == Kind::Rmw {
        out.extend(weaker(Kind::Load, label.fail).iter().map(|&o| change(To::Failure(o))));
    }
    if label.kind == Kind::Fence {
        out.push(change(To::Nothing));
    }
    out
}

/// Every strengthening of a place.
pub(crate) fn strengthenings(label: &Label) -> Vec<Change> {
    if label.kind == Kind::Rmw && label.rmw.is_queue() {
        return Vec::new();
    }
    let change = |to| Change { site: label.site, kind: label.kind, from: label.ord, to };
    stronger(label.kind, label.ord).iter().map(|&o| change(To::Order(o))).collect()
}
