//! STYLE.md, as far as a machine can read it: words, and the length of lines.

use std::path::{Path, PathBuf};

use sync_checks::{Complaints, files, read, root, scripts};

/// Words that STYLE.md replaces, with the replacement.
const WORDS: [(&str, &str); 11] = [
    ("nobody", "no thread, unset, unowned"),
    ("somebody", "another thread"),
    ("anybody", "any thread"),
    ("whom", "name the thread"),
    ("whoever", "name the thread"),
    ("anew", "again"),
    ("for ever", "forever"),
    ("so many", "N, this many"),
    ("as above", "the fact"),
    ("see above", "the fact"),
    ("see there", "the fact"),
];

/// Words that do not begin a comment.
const OPENINGS: [&str; 4] = ["Who", "Whom", "Whoever", "What"];

const COLUMNS: usize = 100;

/// The most lines of a file, with its documentation and its unit tests.
const LINES: usize = 800;

/// Whether `text` has `word` in it as a whole word, in any case.
fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_part(before) && !is_part(after)
    })
}

/// Whether a sentence of a comment ends in a result without a verb: "Removes a name; whether ...".
fn ends_as_telegram(comment: &str, words: &str) -> bool {
    comment.split_once(&format!(";{words}")).is_some_and(|(act, rest)| {
        act.starts_with(char::is_uppercase) && !act.contains(". ") && rest.ends_with('.')
    })
}

/// The text of a line comment or of a documentation comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("//!").or(line.strip_prefix("///")).or(line.strip_prefix("//"))?;
    Some(text.trim_start())
}

/// Whether the line is of a kind that cannot be broken: a row of a table, a link, a long literal.
fn cannot_be_broken(line: &str) -> bool {
    let text = comment(line).unwrap_or(line.trim_start());
    text.starts_with('|') || line.contains("://") || text.starts_with('[')
}

/// This file names what it looks for, and STYLE.md shows it.
fn is_about_style(path: &Path) -> bool {
    path.ends_with("STYLE.md") || path.ends_with("checks/tests/style.rs")
}

#[test]
fn comments_and_documents_use_plain_words() {
    let mut complaints = Complaints::default();
    for path in files("rs").into_iter().filter(|path| !is_about_style(path)) {
        let text = read(&path);
        let mut previous_is_comment = false;
        for (number, line) in text.lines().enumerate() {
            let Some(comment) = comment(line) else {
                previous_is_comment = false;
                continue;
            };
            let place = || format!("{}:{}", path.display(), number + 1);
            for (word, instead) in WORDS {
                if has_word(comment, word) {
                    complaints.add(format!("{}: {word:?}, write: {instead}", place()));
                }
            }
            if [" whether it ", " whether there "].iter().any(|end| ends_as_telegram(comment, end))
            {
                complaints.add(format!("{}: write: Returns whether ...", place()));
            }
            let opening = comment.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
            if !previous_is_comment && OPENINGS.contains(&opening) {
                complaints.add(format!("{}: the comment begins with {opening:?}", place()));
            }
            previous_is_comment = !comment.is_empty();
        }
    }
    for path in files("md").into_iter().filter(|path| !is_about_style(path)) {
        for (number, line) in read(&path).lines().enumerate() {
            for (word, instead) in WORDS {
                if has_word(line, word) {
                    let place = format!("{}:{}", path.display(), number + 1);
                    complaints.add(format!("{place}: {word:?}, write: {instead}"));
                }
            }
        }
    }
    complaints.settle("Plain English: see \"Words\" in STYLE.md.");
}

#[test]
fn lines_end_at_the_hundredth_column() {
    let mut complaints = Complaints::default();
    for path in files("rs") {
        for (number, line) in read(&path).lines().enumerate() {
            let length = line.chars().count();
            if length > COLUMNS && !cannot_be_broken(line) {
                let place = format!("{}:{}", path.display(), number + 1);
                complaints.add(format!("{place}: {length} columns"));
            }
        }
    }
    complaints.settle("Lines end at column 100; rows of tables and links may be longer.");
}

/// The comments of scripts, manifests and lists: the lines that begin with `#`.
fn files_with_hash_comments() -> Vec<PathBuf> {
    let lists = ["toml", "tsv"].into_iter().flat_map(files);
    // The last one is read by scripts.
    lists.chain(scripts()).chain([PathBuf::from(".ci/toolchains")]).collect()
}

#[test]
fn documents_and_comments_of_scripts_end_at_the_hundredth_column() {
    let mut complaints = Complaints::default();
    let mut look = |path: &Path, number: usize, line: &str| {
        let length = line.chars().count();
        if length > COLUMNS && !line.trim_start().starts_with('|') && !line.contains("://") {
            complaints.add(format!("{}:{}: {length} columns", path.display(), number + 1));
        }
    };
    for path in files("md") {
        // Whether the lines are in a block of code, and whether that is a program's output.
        let mut block = None;
        // A program writes the rest of BENCHMARKS.md.
        let text = read(&path);
        let prose = text.split("<!-- The rest is written by ").next().unwrap_or("");
        for (number, line) in prose.lines().enumerate() {
            if let Some(kind) = line.trim_start().strip_prefix("```") {
                block = match block {
                    None => Some(["text", "console"].contains(&kind)),
                    Some(_) => None,
                };
            }
            if block != Some(true) {
                look(&path, number, line);
            }
        }
    }
    let others = files_with_hash_comments();
    assert!(others.len() > 20, "only {} scripts and manifests were found", others.len());
    for path in others {
        let text = read(&path);
        let comments =
            text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with('#'));
        comments.for_each(|(number, line)| look(&path, number, line));
    }
    complaints.settle("Prose ends at column 100; rows of tables, links and output may be longer.");
}

#[test]
fn files_are_short_enough_to_be_read_as_a_whole() {
    let mut complaints = Complaints::default();
    for path in files("rs") {
        let lines = read(&path).lines().count();
        if lines > LINES {
            complaints.add(format!("{}: {lines} lines", path.display()));
        }
    }
    complaints.settle("A file has at most 800 lines; an algorithm with its documentation 700.");
}

#[test]
fn test_names_have_no_codes() {
    let mut complaints = Complaints::default();
    for path in files("rs") {
        for (number, line) in read(&path).lines().enumerate() {
            let Some(rest) = line.trim_start().strip_prefix("fn ") else { continue };
            let name = rest.split('(').next().unwrap_or("");
            let parts: Vec<_> = name.split('_').take(3).collect();
            let is_letters =
                |part: &&str| part.len() <= 3 && part.bytes().all(|b| b.is_ascii_lowercase());
            let is_number =
                |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            let code = match parts.as_slice() {
                [a, n, ..] if is_letters(a) && is_number(n) => true,
                [a, b, n] if is_letters(a) && is_letters(b) && is_number(n) => true,
                _ => false,
            };
            if code {
                complaints.add(format!("{}:{}: {name}", path.display(), number + 1));
            }
        }
    }
    complaints.settle("A test's name says what it shows; CONTRACT.md has the rows.");
}

/// Words that no name has, of those that STYLE.md replaces.
const NOT_IN_NAMES: [&str; 7] =
    ["nobody", "nobodys", "somebody", "anybody", "anew", "whom", "whoever"];

#[test]
fn names_of_functions_use_plain_words() {
    let mut complaints = Complaints::default();
    for path in files("rs") {
        for (number, line) in read(&path).lines().enumerate() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
            let begins_with_who = name.starts_with("who_");
            let is_source = path.components().any(|part| part.as_os_str() == "src");
            if is_source && (name.ends_with("_slow") || name.ends_with("_slowly")) {
                complaints.add(format!("{}:{}: {name}: _contended", path.display(), number + 1));
            }
            if begins_with_who || name.split('_').any(|word| NOT_IN_NAMES.contains(&word)) {
                complaints.add(format!("{}:{}: {name}", path.display(), number + 1));
            }
        }
    }
    complaints.settle("Plain English, in names too: see \"Words\" in STYLE.md.");
}

/// Returns whether `word` is the number of a row in a table that is not in the repository: two
/// capital letters, a hyphen and two digits.
fn is_row_number(word: &str) -> bool {
    let bytes = word.as_bytes();
    let [a, b, b'-', m, n] = bytes else { return false };
    [a, b].iter().all(|b| b.is_ascii_uppercase()) && [m, n].iter().all(|b| b.is_ascii_digit())
}

#[test]
fn no_text_names_the_number_of_a_row() {
    let mut complaints = Complaints::default();
    for path in files("rs").into_iter().chain(files("md")).filter(|path| !is_about_style(path)) {
        for (number, line) in read(&path).lines().enumerate() {
            let words = line.split(|c: char| !(c.is_alphanumeric() || c == '-'));
            for word in words.filter(|word| is_row_number(word.trim_start_matches("U-"))) {
                complaints.add(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    complaints.settle("A comment states the promise, or names the test that shows it.");
}

#[test]
fn the_words_are_found_as_whole_words() {
    assert!(has_word("Nobody waits.", "nobody"));
    assert!(has_word("It waits for ever", "for ever"));
    assert!(!has_word("renewed, anewer", "anew"));
    assert!(!has_word("for every thread", "for ever"));
    assert!(ends_as_telegram("Removes a name; whether it was there.", " whether it "));
    assert!(!ends_as_telegram("Fails; whether it did is in the result", " whether it "));
}

/// The text up to the end of a span of code.
fn code(text: &str) -> &str {
    text.split('`').next().unwrap_or("")
}

/// A README is the front page of its package in a registry and on a code host too, where an item's
/// path is no link and a hidden line of an example is visible.
#[test]
fn readmes_of_packages_read_well_outside_of_rustdoc() {
    let mut complaints = Complaints::default();
    for package in ["sync-core", "sync-queue", "sync-timer", "sync-ipc", "verify"] {
        let path = format!("{package}/README.md");
        let text = read(&path);
        let defined =
            |link: &str| text.lines().any(|line| line.starts_with(&format!("{link}: http")));
        let mut in_code = false;
        for (at, line) in text.lines().enumerate() {
            if line.starts_with("```") {
                in_code = !in_code;
            } else if in_code && (line.starts_with("# ") || line == "#") {
                complaints.add(format!("{path}:{}: a hidden line", at + 1));
            }
            if in_code {
                continue;
            }
            // The shortcut links of the line: [`Name`], with neither a target nor a definition.
            for (start, _) in line.match_indices("[`") {
                let Some(end) = line[start..].find("`]").map(|length| start + length + 2) else {
                    continue;
                };
                let link = &line[start..end];
                if !line[end..].starts_with(['(', '[', ':']) && !defined(link) {
                    complaints.add(format!("{path}:{}: {link} is no link", at + 1));
                }
            }
            for name in line.split("`examples/").skip(1) {
                complaints.add(format!("{path}:{}: no link to {}", at + 1, code(name)));
            }
            let name = if package == "verify" { "sync-verify" } else { package };
            let source = format!("/{name}/latest/source/");
            for file in line.split(&source).skip(1).filter_map(|rest| rest.split(')').next()) {
                if !root().join(package).join(file.trim()).is_file() {
                    complaints.add(format!("{path}:{}: a link to {file}, which is none", at + 1));
                }
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let is_absolute = target.starts_with("http") || target.starts_with('#');
                if !is_absolute {
                    complaints.add(format!("{path}:{}: a relative link, {target}", at + 1));
                }
            }
        }
    }
    complaints
        .settle("A README's links are whole and lead to files, and its examples hide no lines.");
}

/// The programs that stand beside a peer's version of the same program, in their comment.
const BESIDE_A_PEER: [&str; 6] = [
    "sync-core/examples/connection_pool.rs",
    "sync-core/examples/rate_limiter.rs",
    "sync-core/examples/upgradable_cache.rs",
    "sync-ipc/examples/log_shipper.rs",
    "sync-queue/examples/worker_pool.rs",
    "sync-timer/examples/periodic_jobs.rs",
];

/// The lines of code of an example, and those of the peer's whole program in its comment.
fn ours_and_the_peers(text: &str) -> [Vec<&str>; 2] {
    let [mut ours, mut peers] = [Vec::new(), Vec::new()];
    let mut in_program = false;
    for line in text.lines().map(str::trim) {
        let code = match line.strip_prefix("//!").map(str::trim) {
            Some(fence) if fence.starts_with("```") => {
                in_program = !in_program;
                continue;
            }
            Some(code) if in_program => code,
            Some(_) => continue,
            None => line,
        };
        let code = code.split("//").next().unwrap_or("").trim();
        if !code.is_empty() && !code.starts_with("#![") {
            let program = if in_program { &mut peers } else { &mut ours };
            program.push(code);
        }
    }
    [ours, peers]
}

/// Shorter in lines and in characters, whole program by whole program: neither version gains by its
/// layout, or by what it leaves out.
#[test]
fn programs_are_shorter_than_the_peers_version() {
    let mut complaints = Complaints::default();
    for path in BESIDE_A_PEER {
        let text = read(path);
        let [ours, peers] = ours_and_the_peers(&text);
        let characters = |lines: &[&str]| -> usize {
            lines.iter().flat_map(|line| line.split_whitespace()).map(str::len).sum()
        };
        for (what, ours, peers) in [
            ("lines", ours.len(), peers.len()),
            ("characters", characters(&ours), characters(&peers)),
        ] {
            if ours >= peers {
                complaints.add(format!("{path}: {ours} {what}, {peers} of the peer's version"));
            }
        }
        let has_main = |lines: &[&str]| lines.iter().any(|line| line.contains("fn main()"));
        if !has_main(&ours) || !has_main(&peers) {
            complaints.add(format!("{path}: one of the two is no whole program"));
        }
        for waits in ["sleep", "yield_now", "spin_loop", "Condvar", "loop {", "Arc"] {
            if ours.iter().any(|line| line.contains(waits)) {
                complaints.add(format!("{path} has a {waits:?}"));
            }
        }
    }
    complaints.settle("The programs beside a peer's are shorter, and wait by one call.");
}

#[test]
fn the_two_versions_are_told_apart() {
    let text =
        "//! Text.\n//! ```ignore\n//! fn main() {} // a\n//! ```\nuse a;\n\n// b\nfn main() {";
    assert_eq!(ours_and_the_peers(text), [vec!["use a;", "fn main() {"], vec!["fn main() {}"]]);
}
