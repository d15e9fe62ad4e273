//! The classic questions about the memory model, each with its answer from the literature.
//!
//! A question is an outcome, as far as it matters: `r1=1 r2=0 x=2` names registers and final
//! values.

use verify::litmus::{Exploration, Outcome, Program};

use crate::naive;

struct Classic {
    name: &'static str,
    text: &'static str,
    allowed: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const CLASSICS: &[Classic] = &[
    Classic {
        name: "message passing, relaxed",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Relaxed); }
            thread { r1 = y.load(Relaxed); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0", "r1=1 r2=1", "r1=0 r2=0", "r1=0 r2=1"],
        forbidden: &[],
    },
    Classic {
        name: "message passing, release and acquire",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.load(Acquire); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1", "r1=0 r2=0", "r1=0 r2=1"],
        forbidden: &["r1=1 r2=0"],
    },
    Classic {
        name: "message passing, release without acquire",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.load(Relaxed); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "message passing, acquire without release",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Relaxed); }
            thread { r1 = y.load(SeqCst); r2 = x.load(SeqCst); }",
        allowed: &["r1=1 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "message passing, fences on both sides",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); fence(Release); y.store(1, Relaxed); }
            thread { r1 = y.load(Relaxed); fence(Acquire); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1"],
        forbidden: &["r1=1 r2=0"],
    },
    Classic {
        name: "message passing, the acquire fence before the load",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); fence(Release); y.store(1, Relaxed); }
            thread { fence(Acquire); r1 = y.load(Relaxed); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "message passing, the release fence after the store",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Relaxed); fence(Release); }
            thread { r1 = y.load(Acquire); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "message passing, an acquire fence where a release fence belongs",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); fence(Acquire); y.store(1, Relaxed); }
            thread { r1 = y.load(Acquire); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "message passing through assume",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.load(Acquire); assume(r1 == 1); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1"],
        forbidden: &["r2=0", "r1=0"],
    },
    Classic {
        name: "a later relaxed store of the same thread ends the release sequence (C++20)",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); y.store(2, Relaxed); }
            thread { r1 = y.load(Acquire); r2 = x.load(Relaxed); }",
        allowed: &["r1=2 r2=0"],
        forbidden: &["r1=1 r2=0"],
    },
    Classic {
        name: "a relaxed read-modify-write of another thread continues the release sequence",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.fetch_add(1, Relaxed); }
            thread { r2 = y.load(Acquire); r3 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=2 r3=1", "r1=0 r2=1 r3=0"],
        forbidden: &["r1=1 r2=2 r3=0"],
    },
    Classic {
        name: "a swap and an exchange continue it too, one after the other",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.swap(2, Relaxed); r2 = y.compare_exchange(2, 3, Relaxed, Relaxed); }
            thread { r3 = y.load(Acquire); r4 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=2 r3=3 r4=1", "r1=0 r2=2 r3=3 r4=0"],
        forbidden: &["r1=1 r2=2 r3=3 r4=0", "r1=1 r3=2 r4=0"],
    },
    Classic {
        name: "a store of another thread ends it",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.load(Relaxed); y.store(2, Relaxed); }
            thread { r2 = y.load(Acquire); r3 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=2 r3=0"],
        forbidden: &["r2=1 r3=0"],
    },
    Classic {
        name: "an acquire read-modify-write does not release",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); r1 = y.swap(1, Acquire); }
            thread { r2 = y.load(Acquire); r3 = x.load(Relaxed); }",
        allowed: &["r2=1 r3=0"],
        forbidden: &[],
    },
    Classic {
        name: "a release read-modify-write does not acquire",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r2 = y.fetch_add(1, Release); r3 = x.load(Relaxed); }",
        allowed: &["r2=1 r3=0"],
        forbidden: &[],
    },
    Classic {
        name: "an AcqRel read-modify-write does both",
        text: "x = 0; y = 0; z = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.fetch_add(1, AcqRel); z.store(1, Relaxed); }
            thread { r2 = y.load(Acquire); r3 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=2 r3=1"],
        forbidden: &["r1=1 r2=2 r3=0"],
    },
    Classic {
        name: "a failing exchange synchronises with its failure ordering",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.compare_exchange(5, 6, Relaxed, Acquire); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1", "r1=0 r2=0"],
        forbidden: &["r1=1 r2=0"],
    },
    Classic {
        name: "and not with its success ordering",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Release); }
            thread { r1 = y.compare_exchange(5, 6, SeqCst, Relaxed); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "a failing exchange may read a stale value",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Relaxed); }
            thread { r1 = y.load(Relaxed); r2 = x.compare_exchange(7, 8, Relaxed, Relaxed); }",
        allowed: &["r1=1 r2=0", "r1=1 r2=1"],
        forbidden: &["x=8"],
    },
    Classic {
        name: "a read-modify-write reads the store before it, but that need not be the newest one \
            known elsewhere",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); y.store(1, Relaxed); }
            thread { r1 = y.load(Relaxed); r2 = x.fetch_add(10, Relaxed); }",
        allowed: &["r1=1 r2=0 x=1", "r1=1 r2=1 x=11"],
        forbidden: &["r2=0 x=10", "r2=0 x=11", "r2=1 x=1"],
    },
    Classic {
        name: "two increments cannot read the same value",
        text: "x = 0; thread { r1 = x.fetch_add(1, Relaxed); } thread { r2 = x.fetch_add(1, \
            Relaxed); }",
        allowed: &["r1=0 r2=1 x=2", "r1=1 r2=0 x=2"],
        forbidden: &["r1=0 r2=0", "r1=1 r2=1", "x=1"],
    },
    Classic {
        name: "fetch_add wraps",
        text: "x = 18446744073709551615; thread { r1 = x.fetch_add(2, Relaxed); }",
        allowed: &["r1=18446744073709551615 x=1"],
        forbidden: &[],
    },
    Classic {
        name: "store buffering, AcqRel swaps",
        text: "x = 0; y = 0;
            thread { x.swap(1, AcqRel); r1 = y.load(Acquire); }
            thread { y.swap(1, AcqRel); r2 = x.load(Acquire); }",
        allowed: &["r1=0 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "store buffering, SeqCst swaps and loads",
        text: "x = 0; y = 0;
            thread { x.swap(1, SeqCst); r1 = y.load(SeqCst); }
            thread { y.swap(1, SeqCst); r2 = x.load(SeqCst); }",
        allowed: &["r1=0 r2=1", "r1=1 r2=0", "r1=1 r2=1"],
        forbidden: &["r1=0 r2=0"],
    },
    Classic {
        name: "store buffering, SeqCst stores but one acquire load",
        text: "x = 0; y = 0;
            thread { x.store(1, SeqCst); r1 = y.load(SeqCst); }
            thread { y.store(1, SeqCst); r2 = x.load(Acquire); }",
        allowed: &["r1=0 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "store buffering, read-modify-writes of nothing on one location between",
        text: "x = 0; y = 0; z = 0;
            thread { x.store(1, Relaxed); z.fetch_add(0, AcqRel); r1 = y.load(Relaxed); }
            thread { y.store(1, Relaxed); z.fetch_add(0, AcqRel); r2 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0", "r1=0 r2=1"],
        forbidden: &["r1=0 r2=0"],
    },
    Classic {
        name: "store buffering, AcqRel fences",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); fence(AcqRel); r1 = y.load(Relaxed); }
            thread { y.store(1, Relaxed); fence(AcqRel); r2 = x.load(Relaxed); }",
        allowed: &["r1=0 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "2+2W, relaxed and SeqCst",
        text: "x = 0; y = 0;
            thread { x.store(1, SeqCst); y.store(2, SeqCst); }
            thread { y.store(1, SeqCst); x.store(2, Relaxed); }",
        allowed: &["x=1 y=1"],
        forbidden: &[],
    },
    Classic {
        name: "2+2W, SeqCst",
        text: "x = 0; y = 0;
            thread { x.store(1, SeqCst); y.store(2, SeqCst); }
            thread { y.store(1, SeqCst); x.store(2, SeqCst); }",
        allowed: &["x=1 y=2", "x=2 y=1", "x=2 y=2"],
        forbidden: &["x=1 y=1"],
    },
    Classic {
        name: "load buffering: nothing out of thin air, nor by luck",
        text: "x = 0; y = 0;
            thread { r1 = x.load(Relaxed); y.store(r1, Relaxed); }
            thread { r2 = y.load(Relaxed); x.store(1, Relaxed); }",
        allowed: &["r1=1 r2=0 y=1", "r1=0 r2=0 y=0"],
        forbidden: &["r2=1"],
    },
    Classic {
        name: "coherence of two reads",
        text: "x = 0; thread { x.store(1, Relaxed); x.store(2, Relaxed); } thread { r1 = \
            x.load(Relaxed); r2 = x.load(Relaxed); }",
        allowed: &["r1=0 r2=2", "r1=1 r2=2", "r1=2 r2=2", "r1=1 r2=1"],
        forbidden: &["r1=2 r2=1", "r1=2 r2=0", "r1=1 r2=0", "x=1"],
    },
    Classic {
        name: "coherence across threads: two readers agree on the order of two stores",
        text: "x = 0; thread { x.store(1, Relaxed); } thread { x.store(2, Relaxed); }
            thread { r1 = x.load(Relaxed); r2 = x.load(Relaxed); } thread { r3 = x.load(Relaxed); \
            r4 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=2 r3=1 r4=2", "r1=2 r2=1 r3=2 r4=1"],
        forbidden: &["r1=1 r2=2 r3=2 r4=1"],
    },
    Classic {
        name: "write to read causality",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); }
            thread { r1 = x.load(Relaxed); y.store(1, Release); }
            thread { r2 = y.load(Acquire); r3 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1 r3=1", "r1=0 r2=1 r3=0"],
        forbidden: &["r1=1 r2=1 r3=0"],
    },
    Classic {
        name: "independent reads, acquire",
        text: "x = 0; y = 0; thread { x.store(1, Release); } thread { y.store(1, Release); }
            thread { r1 = x.load(Acquire); r2 = y.load(Acquire); } thread { r3 = y.load(Acquire); \
            r4 = x.load(Acquire); }",
        allowed: &["r1=1 r2=0 r3=1 r4=0"],
        forbidden: &[],
    },
    Classic {
        name: "independent reads, SeqCst fences between relaxed loads",
        text: "x = 0; y = 0; thread { x.store(1, Relaxed); } thread { y.store(1, Relaxed); }
            thread { r1 = x.load(Relaxed); fence(SeqCst); r2 = y.load(Relaxed); }
            thread { r3 = y.load(Relaxed); fence(SeqCst); r4 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1 r3=1 r4=0"],
        forbidden: &["r1=1 r2=0 r3=1 r4=0"],
    },
    Classic {
        name: "independent reads, a SeqCst fence on one side only",
        text: "x = 0; y = 0; thread { x.store(1, Relaxed); } thread { y.store(1, Relaxed); }
            thread { r1 = x.load(Acquire); fence(SeqCst); r2 = y.load(Relaxed); }
            thread { r3 = y.load(Acquire); r4 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=0 r3=1 r4=0"],
        forbidden: &[],
    },
    Classic {
        name: "read to write causality with SeqCst fences",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); }
            thread { r1 = x.load(Relaxed); fence(SeqCst); r2 = y.load(Relaxed); }
            thread { y.store(1, Relaxed); fence(SeqCst); r3 = x.load(Relaxed); }",
        allowed: &["r1=1 r2=1 r3=0"],
        forbidden: &["r1=1 r2=0 r3=0"],
    },
    Classic {
        name: "Z6.U: SeqCst accesses order less than one thinks (PLDI 2017, figure 1)",
        text: "x = 0; y = 0;
            thread { x.store(1, SeqCst); y.store(1, Release); }
            thread { r1 = y.fetch_add(1, SeqCst); r2 = y.load(Relaxed); }
            thread { y.store(3, SeqCst); r3 = x.load(SeqCst); }",
        allowed: &["r1=1 r2=3 r3=0"],
        forbidden: &[],
    },
    Classic {
        name: "Z6.U with a SeqCst release of y",
        text: "x = 0; y = 0;
            thread { x.store(1, SeqCst); y.store(1, SeqCst); }
            thread { r1 = y.fetch_add(1, SeqCst); r2 = y.load(Relaxed); }
            thread { y.store(3, SeqCst); r3 = x.load(SeqCst); }",
        allowed: &["r1=0 r2=3 r3=0"],
        forbidden: &["r1=1 r2=3 r3=0"],
    },
    Classic {
        name: "a SeqCst read sees a SeqCst store that happens before, around a relaxed one (PLDI \
            2017, section 3.2)",
        text: "x = 0; y = 0;
            thread { x.store(1, Relaxed); fence(SeqCst); r1 = y.load(SeqCst); }
            thread { y.store(1, SeqCst); r2 = x.load(SeqCst); }",
        allowed: &["r1=0 r2=1", "r1=1 r2=0"],
        forbidden: &["r1=0 r2=0"],
    },
    Classic {
        name: "a release store alone does not make a SeqCst store order a later SeqCst load of \
            another location",
        text: "x = 0; y = 0;
            thread { x.store(1, Release); r1 = y.load(SeqCst); }
            thread { y.store(1, SeqCst); r2 = x.load(SeqCst); }",
        allowed: &["r1=0 r2=0"],
        forbidden: &[],
    },
    Classic {
        name: "W+RWC: SeqCst order goes through synchronisation, if other locations lie on both \
            ends of it",
        text: "x = 0; y = 0; z = 0;
            thread { x.store(1, SeqCst); z.store(1, Release); }
            thread { r1 = z.load(Acquire); r2 = y.load(SeqCst); }
            thread { y.store(1, SeqCst); r3 = x.load(SeqCst); }",
        allowed: &["r1=1 r2=1 r3=0", "r1=0 r2=0 r3=0", "r1=1 r2=0 r3=1"],
        forbidden: &["r1=1 r2=0 r3=0"],
    },
    Classic {
        name: "what a thread does may depend on what it read",
        text: "x = 0; y = 0;
            thread { r1 = x.load(Relaxed); if (r1 == 1) { y.store(1, Relaxed); } else { r2 = \
            y.load(Relaxed); } }
            thread { x.store(1, Relaxed); y.store(2, Relaxed); }",
        allowed: &["r1=0 r2=2 y=2", "r1=0 r2=0", "r1=1 y=1", "r1=1 y=2"],
        forbidden: &["r1=1 r2=0", "r1=0 y=1", "r1=1 r2=2"],
    },
];

/// Whether `outcome` is one that the question asks for.
fn answers(outcome: &Outcome, question: &str) -> bool {
    question.split(' ').all(|part| {
        let (name, value) = part.split_once('=').expect("name=value");
        let value = value.parse().expect("a number");
        let found = outcome.registers.get(name).or_else(|| outcome.final_values.get(name));
        found == Some(&value)
    })
}

fn ask(explore: impl Fn(&Program) -> Exploration) {
    let mut wrong = Vec::new();
    for Classic { name, text, allowed, forbidden } in CLASSICS {
        let found = explore(&text.parse().unwrap_or_else(|error| panic!("{name}: {error}")));
        let seen = |question: &str| found.outcomes.iter().any(|outcome| answers(outcome, question));
        for question in allowed.iter().filter(|question| !seen(question)) {
            wrong.push(format!("{name}: {question} is allowed and was not found"));
        }
        for question in forbidden.iter().filter(|question| seen(question)) {
            wrong.push(format!("{name}: {question} is forbidden and was found"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_naive_enumerator_answers_the_classics() {
    ask(naive::enumerate);
}

#[test]
fn the_engine_answers_the_classics() {
    ask(verify::litmus::explore);
}
