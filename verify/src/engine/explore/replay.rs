//! One execution as a string, and running exactly that one.
//!
//! The string lists the events in an order in which every read comes after the write that it
//! reads, a step each: the thread, and a letter with what the event needs to be the same again.
//!
//! | step | meaning |
//! |---|---|
//! | `0n` | thread 0 does an event that has no alternatives |
//! | `0c2` | it creates thread 2 |
//! | `1r7`, `1ri` | thread 1 reads from step 7, from the initial value |
//! | `1w7`, `1wi` | it writes, right after step 7 (the initial value) in modification order |
//! | `1x2` | it chooses alternative 2 |
//! | `…+3` | the event took alternative 3 besides |
//! | `…!` | a wait whose time ran out |
//! | `~1a2b` | the references to the values made at the place of this name are counted |

use crate::engine::memory_model::event::{Event, INIT, Id, Kind, NONE, Rmw};
use crate::engine::memory_model::fact::Fact;
use crate::engine::memory_model::graph::Graph;
use crate::engine::memory_model::linearize::linear;
use std::fmt::Write;

/// The requirement on the next event of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub tid: u32,
    pub kind: StepKind,
    pub choice: u32,
    pub fired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    Nothing,
    Create(u32),
    Read(Id),
    WriteAfter(Id),
    Choose(u32),
}

fn fired(e: &Event) -> bool {
    let gave_up = e.label.rmw == Rmw::Leave || !e.label.awaits;
    e.label.timed && e.label.kind == Kind::Rmw && gave_up
}

/// The string of an execution.
pub(crate) fn encode(g: &Graph, facts: &[Fact]) -> String {
    // An event that was not linked, because the string did not fit, has no source.
    let unlinked = |e: &Event| matches!(e.label.kind, Kind::Load | Kind::Rmw) && e.rf == NONE;
    let events: Vec<Id> =
        linear(g).into_iter().filter(|&id| !g.ev(id).waiting && !unlinked(g.ev(id))).collect();
    let mut place = vec![0; g.events.len()];
    for (i, &id) in events.iter().enumerate() {
        place[id as usize] = i;
    }
    let mut out = String::new();
    for fact in facts {
        if let Fact::Counted(site) = fact {
            let _ = write!(out, "{}~{site:x}", if out.is_empty() { "" } else { "," });
        }
    }
    for &id in &events {
        let e = g.ev(id);
        if !out.is_empty() {
            out.push(',');
        }
        let _ = write!(out, "{}", e.tid);
        let from = |w: Id| {
            if w == INIT { String::from("i") } else { place[w as usize].to_string() }
        };
        let _ = match e.label.kind {
            Kind::Load | Kind::Rmw => write!(out, "r{}", from(e.rf)),
            Kind::Store => write!(out, "w{}", from(g.at(e.label.loc, e.pos.saturating_sub(1)))),
            Kind::Choose => write!(out, "x{}", e.choice),
            Kind::Spawn => {
                let child = g.threads.iter().position(|t| t.spawn == id).unwrap_or(0);
                write!(out, "c{child}")
            }
            _ => write!(out, "n"),
        };
        if e.choice > 0 && e.label.kind != Kind::Choose {
            let _ = write!(out, "+{}", e.choice);
        }
        if fired(e) {
            out.push('!');
        }
    }
    out
}

/// The steps of a string, and what it says has to be known of the model.
pub(crate) fn decode(text: &str) -> Result<(Vec<Step>, Vec<Fact>), String> {
    let mut steps = Vec::new();
    let mut facts = Vec::new();
    for part in text.trim().split(',').filter(|p| !p.is_empty()) {
        let i = steps.len();
        let bad = || format!("step {i} of the replay string makes no sense: `{part}`");
        if let Some(site) = part.strip_prefix('~') {
            facts.push(Fact::Counted(u32::from_str_radix(site, 16).map_err(|_| bad())?));
            continue;
        }
        let (part, fired) = part.strip_suffix('!').map_or((part, false), |p| (p, true));
        let (part, choice) = match part.split_once('+') {
            Some((p, c)) => (p, c.parse().map_err(|_| bad())?),
            None => (part, 0),
        };
        let at = part.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
        let tid = part[..at].parse().map_err(|_| bad())?;
        let rest = &part[at + 1..];
        let number = || rest.parse::<u32>().map_err(|_| bad());
        let earlier = |n: u32| if (n as usize) < i { Ok(n) } else { Err(bad()) };
        let from = || {
            if rest == "i" { Ok(INIT) } else { number().and_then(earlier) }
        };
        let kind = match part.as_bytes()[at] {
            b'n' => StepKind::Nothing,
            b'c' => StepKind::Create(number()?),
            b'r' => StepKind::Read(from()?),
            b'w' => StepKind::WriteAfter(from()?),
            b'x' => StepKind::Choose(number()?),
            _ => return Err(bad()),
        };
        steps.push(Step { tid, kind, choice, fired });
    }
    Ok((steps, facts))
}

/// Returns the number of times the processor changes hands in an execution.
pub(crate) fn switches(g: &Graph) -> usize {
    let events = linear(g);
    events.windows(2).filter(|w| g.ev(w[0]).tid != g.ev(w[1]).tid).count()
}
