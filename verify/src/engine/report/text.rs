//! An execution as a person reads it.

use super::explain;
use super::failure::Failed;
use crate::engine::memory_model::event::{Event, INIT, Id, Kind, NONE, Rmw};
use crate::engine::memory_model::graph::Graph;
use crate::engine::memory_model::linearize::{id, linear};
use std::fmt::Write;

/// Describes what an event did.
pub(crate) fn describe(g: &Graph, e: &Event) -> String {
    let l = &e.label;
    let ord = e.ordering();
    match l.kind {
        Kind::Load => format!("load {ord:?} -> {}", e.rval),
        Kind::Store => format!("store {} {ord:?}", e.wval),
        Kind::Fence => format!("fence {ord:?}"),
        Kind::Spawn => {
            let child =
                g.threads.iter().position(|t| t.spawn != NONE && std::ptr::eq(g.ev(t.spawn), e));
            child.map_or_else(|| "spawn".into(), |c| format!("spawn thread {c}"))
        }
        Kind::Join => format!("join thread {}", l.a),
        Kind::Choose => format!("choose {} of {}", e.choice, l.a),
        Kind::Woken => "woken".into(),
        Kind::Tick => format!("{:?} pass", std::time::Duration::from_nanos(l.a)),
        Kind::Rmw => match l.rmw {
            Rmw::Cas | Rmw::WeakCas | Rmw::Enters if l.awaits && !e.wrote => {
                format!("waits for {}, sees {}", l.a, e.rval)
            }
            Rmw::Cas | Rmw::WeakCas | Rmw::Enters => {
                let how = if e.wrote { "ok" } else { "failed" };
                format!("compare_exchange {} to {} {ord:?} -> {how}, saw {}", l.a, l.b, e.rval)
            }
            Rmw::Enqueue => "goes to sleep".into(),
            Rmw::Wake => format!("wake -> {} woken", e.rval),
            Rmw::Leave => "wakes up by itself".into(),
            op => format!("{op:?} {} {ord:?}, {} to {}", l.a, e.rval, e.wval),
        },
    }
}

/// Where a read got its value, and whether there was a newer one.
pub(crate) fn source(g: &Graph, order: &[u32], e: &Event) -> String {
    if e.rf == NONE || !(e.reads() || e.label.kind == Kind::Woken) {
        return String::new();
    }
    let from = if e.rf == INIT {
        "the initial value".to_string()
    } else {
        format!("#{}", order[e.rf as usize])
    };
    if !e.reads() {
        return format!(" from {from}");
    }
    match explain::newer(g, order, id(g, e)) {
        Some(newest) => format!(" from {from}; stale: newest is #{}", order[newest as usize]),
        None => format!(" from {from}"),
    }
}

fn lines_of(n: usize) -> String {
    if n == 1 { "the same line".into() } else { format!("the same {n} lines") }
}

/// A line without the numbers of the events that it names: those differ from round to round.
fn without_numbers(line: &str) -> impl Iterator<Item = char> {
    let mut number = false;
    line.chars().filter(move |c| {
        number = *c == '#' || (number && c.is_ascii_digit());
        !number || *c == '#'
    })
}

/// The shortest row of lines at the beginning that is repeated, and how often it comes; a single
/// line, once, if there is none.
fn repetition(lines: &[String]) -> (usize, usize) {
    const LONGEST: usize = 12;
    let alike = |a: &[String], b: &[String]| {
        a.iter().zip(b).all(|(a, b)| without_numbers(a).eq(without_numbers(b)))
    };
    for period in 1..=LONGEST.min(lines.len() / 4) {
        let rounds = lines.chunks_exact(period);
        let times = rounds.take_while(|round| alike(round, &lines[..period])).count();
        if times > 3 {
            return (period, times);
        }
    }
    (1, 1)
}

/// The execution as text.
pub(crate) fn text(failed: &Failed) -> String {
    let g = &failed.graph;
    let events = linear(g);
    let mut order = vec![0_u32; g.events.len()];
    for (i, &id) in events.iter().enumerate() {
        order[id as usize] = i as u32;
    }
    const COLUMN: usize = 34;
    let columns = g.threads.len();
    let wide = columns <= 4;
    let place = |e: &Event| {
        let file = e.label.site.file();
        let file = file.rsplit('/').next().unwrap_or(file);
        format!("{file}:{}", e.label.site.line())
    };
    let width = events.iter().map(|&id| place(g.ev(id)).len()).max().unwrap_or(0);
    let mut out = String::new();
    let name = |t: usize| failed.names.get(t).cloned().unwrap_or_default();
    if wide {
        let _ = write!(out, "{:<5}{:<width$}  ", "", "");
        for t in 0..columns {
            let _ = write!(out, "{:<COLUMN$}", name(t));
        }
        let _ = writeln!(out);
    }
    let line = |&id: &Id| {
        let e = g.ev(id);
        let what = format!("{}{}", describe(g, e), source(g, &order, e));
        if wide {
            let indent = e.tid as usize * COLUMN;
            format!("{:<width$}  {:indent$}{what}", place(e), "")
        } else {
            format!("{:<width$}  {}: {what}", place(e), name(e.tid as usize))
        }
    };
    let lines: Vec<String> = events.iter().map(line).collect();
    let mut i = 0;
    while i < lines.len() {
        let (period, times) = repetition(&lines[i..]);
        // The first round and the last one are shown.
        for (n, line) in lines[i..i + period].iter().enumerate() {
            let _ = writeln!(out, "#{:<4}{line}", i + n);
        }
        if times > 3 {
            let _ = writeln!(out, "...  {}, {} times more", lines_of(period), times - 2);
            i += (times - 2) * period;
        }
        i += period;
    }
    for note in explain::notes(failed, &order) {
        let _ = writeln!(out, "{note}");
    }
    let files: std::collections::BTreeSet<&str> =
        events.iter().map(|&id| g.ev(id).label.site.file()).collect();
    let _ = writeln!(out, "in {}", files.into_iter().collect::<Vec<_>>().join(", "));
    out
}
