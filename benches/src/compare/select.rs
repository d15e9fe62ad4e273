//! Which workloads and peers a FILTER names.
//!
//! A FILTER is a piece of an id, `<primitive>/<workload>/<peer>/<threads>`, that begins where a
//! part of the id begins: `mutex`, `mutex/uncontended`, `contended`, `kanal`, `uncontended/std`. If
//! no id has such a piece, any piece of an id will do (`tended`). Where only peers are named, ours
//! runs beside them; where ours is named alone, all peers do: there must be something to compare.

use super::subject::{OURS, Workload};

/// Every id, in order.
pub fn ids(workloads: &[Workload]) -> Vec<String> {
    let mut ids = Vec::new();
    for workload in workloads {
        for suffix in workload.metrics {
            ids.extend(
                workload.contestants.iter().map(|contestant| workload.id(suffix, contestant.peer)),
            );
        }
    }
    ids
}

/// Keeps what the filter names; of everything else nothing.
///
/// # Errors
///
/// When that is nothing: a text that says what there is.
pub fn select(
    workloads: Vec<Workload>,
    filter: Option<&str>,
    all: bool,
) -> Result<Vec<Workload>, String> {
    let Some(filter) = filter else {
        return Ok(workloads.into_iter().filter(|workload| all || !workload.grid).collect());
    };
    let anchored = |id: &str| format!("/{id}").contains(&format!("/{filter}"));
    let anywhere = |id: &str| id.contains(filter);
    let known = Known::of(&workloads);
    if ids(&workloads).iter().any(|id| anchored(id)) {
        Ok(keep(workloads, all, filter, anchored))
    } else if ids(&workloads).iter().any(|id| anywhere(id)) {
        Ok(keep(workloads, all, filter, anywhere))
    } else {
        Err(known.complain(filter))
    }
}

fn keep(
    workloads: Vec<Workload>,
    all: bool,
    filter: &str,
    matches: impl Fn(&str) -> bool,
) -> Vec<Workload> {
    let mut kept = Vec::new();
    let mut from_grid = Vec::new();
    for mut workload in workloads {
        let ids_of = |peer: &str| {
            workload.metrics.iter().map(|suffix| workload.id(suffix, peer)).collect::<Vec<_>>()
        };
        let named: Vec<&str> = workload
            .contestants
            .iter()
            .map(|c| c.peer)
            .filter(|peer| ids_of(peer).iter().any(|id| matches(id)))
            .collect();
        if named.is_empty() {
            continue;
        }
        if named != [OURS] {
            workload
                .contestants
                .retain(|contestant| contestant.peer == OURS || named.contains(&contestant.peer));
        }
        if workload.grid && !all && !names_workload(filter, &workload) {
            from_grid.push(workload);
        } else {
            kept.push(workload);
        }
    }
    // A filter that names nothing outside the grid means the grid.
    if kept.is_empty() { from_grid } else { kept }
}

/// Whether the filter goes so far as to name the workload itself, and not only its primitive, its
/// peers or its threads.
fn names_workload(filter: &str, workload: &Workload) -> bool {
    filter.split('/').any(|part| part == workload.name)
}

struct Known {
    primitives: Vec<(&'static str, Vec<String>)>,
    peers: Vec<&'static str>,
}

impl Known {
    fn of(workloads: &[Workload]) -> Self {
        let mut known = Self { primitives: Vec::new(), peers: Vec::new() };
        for workload in workloads {
            for contestant in &workload.contestants {
                if !known.peers.contains(&contestant.peer) {
                    known.peers.push(contestant.peer);
                }
            }
            if known.primitives.last().is_none_or(|(primitive, _)| *primitive != workload.primitive)
            {
                known.primitives.push((workload.primitive, Vec::new()));
            }
            let names = &mut known.primitives.last_mut().expect("just made sure").1;
            if !names.contains(&workload.name) {
                names.push(workload.name.clone());
            }
        }
        known
    }

    fn complain(&self, filter: &str) -> String {
        let mut text = format!(
            "no id matches {filter:?}. \
             An id is <primitive>/<workload>/<peer>/<threads>; there are\n"
        );
        for (primitive, names) in &self.primitives {
            text.push_str(&format!("  {primitive}: {}\n", names.join(", ")));
        }
        text.push_str(&format!(
            "and the peers {}. `--list` prints every id.",
            self.peers.join(", ")
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::shapes;

    fn workloads() -> Vec<Workload> {
        let contestants = |peers: &[&'static str]| {
            peers.iter().map(|peer| shapes::looping(peer, || (), |_, _| {}, |_| 0)).collect()
        };
        vec![
            Workload::single("mutex", "uncontended", contestants(&[OURS, "std", "spin"])),
            Workload::team("mutex", "contended", 4, contestants(&[OURS, "std"])),
            Workload::team("mutex", "contended-1us", 4, contestants(&[OURS, "std"])).in_grid(true),
            Workload::team("reentrant_mutex", "contended", 4, contestants(&[OURS, "parking_lot"]))
                .reporting(&["", "max-wait"]),
        ]
    }

    fn chosen(filter: &str, all: bool) -> Vec<String> {
        ids(&select(workloads(), Some(filter), all).unwrap())
    }

    #[test]
    fn no_filter_is_all_but_the_grid() {
        assert_eq!(select(workloads(), None, false).unwrap().len(), 3);
        assert_eq!(select(workloads(), None, true).unwrap().len(), 4);
    }

    #[test]
    fn a_piece_begins_where_a_part_begins() {
        assert_eq!(chosen("mutex", false).len(), 5, "not the reentrant one, not the grid");
        assert_eq!(
            chosen("contended/std", false),
            ["mutex/contended/ours/4", "mutex/contended/std/4"]
        );
        assert_eq!(chosen("spin", false), ["mutex/uncontended/ours/1", "mutex/uncontended/spin/1"]);
        assert_eq!(chosen("reentrant", false).len(), 4);
    }

    #[test]
    fn ours_alone_runs_with_everybody() {
        assert_eq!(chosen("mutex/uncontended/ours", false).len(), 3);
    }

    #[test]
    fn else_any_piece_will_do() {
        assert_eq!(chosen("ncontended", false), chosen("uncontended", false));
        assert_eq!(chosen("max-wait", false).len(), 4, "one run reports all its metrics");
    }

    #[test]
    fn the_grid_runs_when_it_is_named() {
        assert_eq!(chosen("mutex/contended-1us", false).len(), 2);
        assert_eq!(chosen("mutex", true).len(), 7);
        assert_eq!(
            chosen("contended", false).len(),
            2 + 4,
            "the grid's names begin with it too, but are not it"
        );
    }

    #[test]
    fn nothing_found_says_what_there_is() {
        let complaint = select(workloads(), Some("mutx"), false).unwrap_err();
        for piece in [
            "\"mutx\"",
            "mutex: uncontended, contended, contended-1us",
            "reentrant_mutex: contended",
            "ours, std, spin, parking_lot",
        ] {
            assert!(complaint.contains(piece), "{complaint}");
        }
    }
}
