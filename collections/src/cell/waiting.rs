//! Waiting for a cell to hold another value.

use super::*;

/// What to wait on for the cell to hold another number than `old`; `None` when it does already. The announcement
/// outlives the operation: the next change wakes.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn watch(table: Table, handle: Handle, old: f64) -> Result<Option<Watch>> {
    let entry = table.find(handle, Type::Cell)?;
    let watch = watch_word(table.memory, entry, value::from_number(old));
    // A release, too, first changes the entry and then looks for waiters.
    table.check(entry, handle, Type::Cell)?;
    Ok(watch)
}

/// As [`watch`], for any value, by its contents.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn watch_value(table: Table, handle: Handle, old: &Given<'_>) -> Result<Option<Watch>> {
    let entry = table.find(handle, Type::Cell)?;
    let watch = wait::announce(table.memory, entry);
    let same = look(table, entry, |word, stored| string::is_given(table, word, stored, old));
    table.check(entry, handle, Type::Cell)?;
    Ok(same?.then_some(watch))
}

/// Announces a waiter for the value `old` of the cell in `entry`; `None` when the value is another one already.
#[inline(always)]
pub fn watch_word(memory: Memory, entry: Address, old: u64) -> Option<Watch> {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::WAIT_WITHOUT_LOOK) {
        // Seeded bug: looks at the value before the announcement instead of after it.
        let differs = memory.load64_ordered(entry.wrapping_add(VALUE)) != old;
        return (!differs).then(|| wait::announce(memory, entry));
    }
    let watch = wait::announce(memory, entry);
    (memory.load64_ordered(entry.wrapping_add(VALUE)) == old).then_some(watch)
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The cell holds another value than the old one.
    Changed,
    /// It held the old one all the time, as far as was seen.
    TimedOut,
}

/// Blocks until the cell holds another number than `old`, for `timeout` milliseconds at most (infinity: no limit, NaN:
/// not at all). Leaves its operation, and the turn, before each sleep; the handle is looked up again after it.
///
/// # Errors
/// [`Error::CannotBlock`] for an agent that must not, [`Error::Busy`] inside an operation, [`Error::StaleHandle`] also
/// when the cell is released meanwhile.
pub fn wait(agent: Agent, host: &impl Host, handle: Handle, old: f64, timeout: f64) -> Result<Waited> {
    wait_until(agent, host, timeout, |table| watch(table, handle, old))
}

/// As [`wait`], for any value, by its contents.
///
/// # Errors
/// As [`wait`].
pub fn wait_value(agent: Agent, host: &impl Host, handle: Handle, old: &Given<'_>, timeout: f64) -> Result<Waited> {
    wait_until(agent, host, timeout, |table| watch_value(table, handle, old))
}

pub(super) fn wait_until(
    agent: Agent,
    host: &impl Host,
    timeout: f64,
    watch: impl Fn(Table) -> Result<Option<Watch>>,
) -> Result<Waited> {
    let deadline = host.now() + if timeout.is_nan() { 0.0 } else { timeout };
    // Each round sleeps until the deadline at most, or was ended by a change.
    loop {
        let entry = host.enter(agent)?;
        let watch = watch(Table { memory: agent.memory(), control: agent.control() });
        if entry == Entry::Precise {
            agent.leave();
        }
        let Some(watch) = watch? else { return Ok(Waited::Changed) };
        if !agent.may_block() {
            return Err(Error::cannot_block());
        }
        let left = deadline - host.now();
        if left <= 0.0 {
            return Ok(Waited::TimedOut);
        }
        wait::sleep(agent, host, watch, left)?;
    }
}
