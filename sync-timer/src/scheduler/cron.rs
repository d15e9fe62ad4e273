//! Cron expressions, read by the crate `croner` (feature `cron`).

use core::fmt;
use std::error::Error;
use std::time::SystemTime;

use chrono::{DateTime, TimeZone};
use croner::Cron;
use croner::parser::CronParser;

use super::calendar::Calendar;

/// A cron expression that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError(String);

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a cron expression: {}", self.0)
    }
}

impl Error for CronError {}

/// The times of a cron expression in a time zone.
///
/// ```
/// use sync_timer::{Calendar, Scheduler};
///
/// let scheduler = Scheduler::new();
/// // At nine on working days, local time.
/// let mornings = Calendar::cron("0 9 * * MON-FRI", chrono::Local)?;
/// scheduler.calendar(mornings, |_| println!("good morning"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Calendar<fn(SystemTime) -> Option<SystemTime>> {
    /// The times of a cron expression: minute, hour, day of month, month, day of week, and a sixth
    /// field for seconds in front of them if wanted. Around changes of the time zone's offset it
    /// follows `croner`.
    ///
    /// # Errors
    ///
    /// [`CronError`] if the expression cannot be read.
    pub fn cron<Tz: TimeZone>(
        expression: &str,
        zone: Tz,
    ) -> Result<Calendar<impl FnMut(SystemTime) -> Option<SystemTime> + use<Tz>>, CronError> {
        let parser = CronParser::builder().seconds(croner::parser::Seconds::Optional).build();
        let cron: Cron = parser.parse(expression).map_err(|error| CronError(error.to_string()))?;
        Ok(Calendar::new(move |after: SystemTime| {
            let after = DateTime::<chrono::Utc>::from(after).with_timezone(&zone);
            let next = cron.find_next_occurrence(&after, false).ok()?;
            Some(SystemTime::from(next.with_timezone(&chrono::Utc)))
        }))
    }
}
