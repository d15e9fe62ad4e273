//! The engine: execution graphs, their exploration, and the coroutines that run the model.
//!
//! | file | what it holds |
//! |---|---|
//! | `event` | labels of events, the functions of read-modify-writes |
//! | `graph` | events, program order, reads-from, modification order, clocks |
//! | `consistency` | the order of sequentially consistent events |
//! | `extend` | adding an event, and the alternatives left for later |
//! | `revisit` | a write that changes what an earlier read reads |
//! | `queue` | wait queues: futexes and condition variables |
//! | `mutate` | changing one place of a model |
//! | `object` | the words and queues that the checker's own types stand on |
//! | `race` | accesses that are not atomic |
//! | `birth` | who made an object, and when |
//! | `runtime` | coroutines, replay of a graph, scheduling |
//! | `guard` | stacks that overflow, threads that never come back |
//! | `lesson` | what is found out on the way |
//! | `driver` | executions one after the other, limits, statistics |
//! | `replay` | one execution as a string, and back |
//! | `report` | an execution as a person reads it |
//! | `html` | the same as a page for a browser |
//! | `fingerprint` | telling executions apart |
//! | `failure` | what can be wrong with a model |

pub(crate) mod birth;
pub(crate) mod consistency;
pub(crate) mod driver;
pub(crate) mod event;
pub(crate) mod extend;
pub(crate) mod failure;
pub(crate) mod fingerprint;
pub(crate) mod graph;
pub(crate) mod guard;
pub(crate) mod html;
pub(crate) mod lesson;
pub(crate) mod mutate;
pub(crate) mod object;
pub(crate) mod queue;
pub(crate) mod race;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod revisit;
pub(crate) mod runtime;
