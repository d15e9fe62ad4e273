//! The program as its users run it.

use std::process::{Command, Output};

use serde_json::Value;

fn compare(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is text")
}

#[test]
fn a_filter_that_matches_nothing_is_an_error_that_says_what_there_is() {
    for arguments in [&["mutx"][..], &["mutx", "--json"], &["mutx", "--list"]] {
        let output = compare(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let complaint = text(&output.stderr);
        for piece in ["\"mutx\"", "mutex: uncontended", "queue: ", "crossbeam"] {
            assert!(complaint.contains(piece), "{complaint}");
        }
    }
}

#[test]
fn too_few_rounds_are_an_error() {
    for rounds in ["0", "5", "many", "-1"] {
        assert_eq!(
            compare(&["mutex", &format!("--rounds={rounds}")]).status.code(),
            Some(2),
            "{rounds}"
        );
    }
}

#[test]
fn the_list_is_of_ids_and_measures_nothing() {
    let output = compare(&["mutex/uncontended", "--list"]);
    let ids: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(ids[..2], ["mutex/uncontended/ours/1", "mutex/uncontended/std/1"]);
    assert!(ids.iter().all(|id| id.starts_with("mutex/uncontended/")), "{ids:?}");
}

#[test]
fn json_is_one_object_a_line_with_the_named_keys() {
    let output = compare(&["mutex/uncontended/std", "--json", "--rounds", "6"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let peers: Vec<_> = rows.iter().map(|row| row["peer"].as_str().unwrap()).collect();
    assert_eq!(peers, ["ours", "std"], "the named peer, and ours beside it");
    let mut named = [
        "id",
        "primitive",
        "workload",
        "threads",
        "peer",
        "unit",
        "median",
        "low",
        "high",
        "samples",
        "ours_to_peer",
        "ours_to_peer_low",
        "ours_to_peer_high",
    ];
    named.sort_unstable();
    for row in &rows {
        let mut keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, named);
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(
            number("median") > 0.0
                && number("low") <= number("median")
                && number("median") <= number("high")
                && number("ours_to_peer_low") <= number("ours_to_peer")
                && number("ours_to_peer") <= number("ours_to_peer_high"),
            "{row}"
        );
        assert_eq!(row["id"], format!("mutex/uncontended/{}/1", row["peer"].as_str().unwrap()));
    }
    assert_eq!(rows[0]["ours_to_peer"], 1.0);
}

#[test]
fn the_table_names_machine_compiler_and_the_best_peer() {
    let output = compare(&["event/wait-when-set", "--rounds", "6"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for piece in [
        "rustc 1.",
        "event/wait-when-set   1 thread, ns/op",
        "  * ",
        "ours is",
        "ours against std: ",
    ] {
        assert!(table.contains(piece), "{piece:?} in\n{table}");
    }
}
