//! From one execution graph to the next.
//!
//! | file | what it holds |
//! |---|---|
//! | `explorer` | adding an event, and the alternatives left for later |
//! | `revisit` | a write that changes what an earlier read reads |
//! | `preemption_bound` | how many preemptions an execution needs |
//! | `wait_queue` | wait queues: futexes and condition variables |
//! | `fingerprint` | telling executions apart |
//! | `replay` | one execution as a string, and back |
//! | `mutation` | changing one place of a model |

pub(crate) mod explorer;
pub(crate) mod fingerprint;
pub(crate) mod mutation;
pub(crate) mod preemption_bound;
pub(crate) mod replay;
pub(crate) mod revisit;
pub(crate) mod wait_queue;
