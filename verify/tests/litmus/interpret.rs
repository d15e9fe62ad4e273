//! A thread of a litmus program, run on the checker's atomics, with something else in place of some
//! of its statements.

use verify::litmus::{LocationId, RegisterId, Statement};
use verify::sync::atomic::{AtomicU64, fence};

/// The action taken in place of a statement.
pub(crate) enum Instead {
    /// All of it.
    Done,
    /// It reads this value.
    Read(u64),
}

/// Runs the statements; `instead` does some in its own way. False: an `assume` failed, the thread
/// goes no further.
pub(crate) fn run(
    body: &[Statement],
    atomics: &[AtomicU64],
    registers: &mut [Option<u64>],
    instead: &mut impl FnMut(&Statement, &dyn Fn(RegisterId) -> u64) -> Option<Instead>,
) -> bool {
    for statement in body {
        let register = |id: RegisterId| registers[id.0].expect("assigned on every path");
        let at = |location: &LocationId| &atomics[location.0];
        let own = instead(statement, &register);
        let read = match (&own, statement) {
            (Some(Instead::Done), _) => continue,
            (Some(Instead::Read(value)), _) => *value,
            (None, Statement::Store { location, value, ordering }) => {
                at(location).store(value.evaluate(register), *ordering);
                continue;
            }
            (None, Statement::Load { location, ordering, .. }) => at(location).load(*ordering),
            (None, Statement::Swap { location, value, ordering, .. }) => {
                at(location).swap(value.evaluate(register), *ordering)
            }
            (None, Statement::FetchAdd { location, value, ordering, .. }) => {
                at(location).fetch_add(value.evaluate(register), *ordering)
            }
            (
                None,
                Statement::CompareExchange { location, expected, new, success, failure, .. },
            ) => {
                let (expected, new) = (expected.evaluate(register), new.evaluate(register));
                let (Ok(read) | Err(read)) =
                    at(location).compare_exchange(expected, new, *success, *failure);
                read
            }
            (None, Statement::Fence { ordering }) => {
                fence(*ordering);
                continue;
            }
            (None, Statement::Assume(condition)) if condition.holds(&register) => continue,
            (None, Statement::Assume(_)) => return false,
            (None, Statement::If { condition, then, otherwise }) => {
                let branch = if condition.holds(&register) { then } else { otherwise };
                if !run(branch, atomics, registers, instead) {
                    return false;
                }
                continue;
            }
        };
        if let Statement::Load { into, .. }
        | Statement::Swap { into, .. }
        | Statement::FetchAdd { into, .. }
        | Statement::CompareExchange { into, .. } = statement
            && let Some(id) = into
        {
            registers[id.0] = Some(read);
        }
    }
    true
}
