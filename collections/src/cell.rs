//! A cell: one number that every agent reads, sets, adds to, compares and exchanges, and waits for.
//!
//! # Consistency
//! Linearizable. The value is one word: [`get`] is one load of it (and stores nothing), each change one
//! read-modify-write. Comparing is `Object.is`: NaN is NaN, 0 is not −0. A cell that is being released is either still
//! found, and then the change happens to this very cell, or its handle is stale ([`crate::hold`]).
//!
//! # If the caller dies here
//! Each change is one commit: it happened or it did not, nothing is to be recovered. If it happened and the caller
//! died before it woke the waiters, they look again within [`wait::SLICE`] milliseconds.
//!
//! Nothing here blocks except [`wait`].

use coheap_alloc::{Address, Agent, Entry, Error, Memory, Operation, Result};

use crate::claim::{self, claim};
use crate::object::{Handle, Info, Table, Type, VALUE};
use crate::wait::{self, Host, Slept, Wake, Watch};
use crate::{hold, rule, value};

/// Makes an anonymous cell that holds `number`. It lives until its last reference is given back;
/// this agent has one.
///
/// # Errors
/// [`Error::OutOfMemory`] when the object table cannot grow.
pub fn create(operation: &Operation, number: f64) -> Result<Handle> {
    make(operation, number, None)
}

pub(crate) fn make(operation: &Operation, number: f64, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Cell)?;
    claim::publish(operation, claim, value::from_number(number), Info::new(0, bucket), None)
}

fn number(entry: Address, word: u64) -> Result<f64> {
    value::to_number(word).ok_or(Error::Corrupt { rule: rule::NOT_A_NUMBER, address: entry.wrapping_add(VALUE) })
}

/// The number. Loads only: the value first and then the entry's word, which proves whose value it was.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
#[inline(always)]
pub fn get(table: Table, handle: Handle) -> Result<f64> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    table.check(entry, handle, Type::Cell)?;
    number(entry, word)
}

/// As [`get`] for the fastest way in: NaN stands for a NaN and for every error, [`get`] says which.
#[inline(always)]
#[must_use]
pub fn get_or_nan(table: Table, handle: Handle) -> f64 {
    let Some(entry) = table.entry(handle.index) else { return f64::NAN };
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    if table.word(entry).is_live(handle, Type::Cell) { f64::from_bits(word) } else { f64::NAN }
}

/// Sets the number. One swap, and one load of the wait word.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
#[inline(always)]
pub fn set(operation: &Operation, handle: Handle, number: f64) -> Result<Wake> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    Ok(put(operation.memory(), entry, value::from_number(number)))
}

/// Changes the value of the cell in `entry`, which the caller holds, and answers who is to be woken.
#[inline(always)]
pub fn put(memory: Memory, entry: Address, word: u64) -> Wake {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::WAKE_BEFORE_CHANGE) {
        // Seeded bug: looks for waiters before the change that they wait for.
        let wake = wait::after_change(memory, entry);
        memory.swap64(entry.wrapping_add(VALUE), word);
        return wake;
    }
    memory.swap64(entry.wrapping_add(VALUE), word);
    wait::after_change(memory, entry)
}

/// Adds to the number and answers the sum. Lock-free: each retry means that another agent changed the cell.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn add(operation: &Operation, handle: Handle, delta: f64) -> Result<(f64, Wake)> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let memory = operation.memory();
    let at = entry.wrapping_add(VALUE);
    let mut word = memory.load64(at);
    loop {
        let sum = number(entry, word)? + delta;
        match memory.compare_exchange64(at, word, value::from_number(sum)) {
            Ok(_) => return Ok((sum, wait::after_change(memory, entry))),
            Err(found) => word = found,
        }
    }
}

/// Sets the number to `new` if it is `expected`; answers whether it was.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn compare_and_set(operation: &Operation, handle: Handle, expected: f64, new: f64) -> Result<(bool, Wake)> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let memory = operation.memory();
    let (old, new) = (value::from_number(expected), value::from_number(new));
    match memory.compare_exchange64(entry.wrapping_add(VALUE), old, new) {
        Ok(_) => Ok((true, wait::after_change(memory, entry))),
        Err(_) => Ok((false, Wake::NONE)),
    }
}

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
    /// The cell holds another number than the old one.
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
    let deadline = host.now() + if timeout.is_nan() { 0.0 } else { timeout };
    // Each round sleeps until the deadline at most, or was ended by a change.
    loop {
        let entry = host.enter(agent)?;
        let watch = watch(Table { memory: agent.memory(), control: agent.control() }, handle, old);
        if entry == Entry::Precise {
            agent.leave();
        }
        let Some(watch) = watch? else { return Ok(Waited::Changed) };
        if !agent.may_block() {
            return Err(Error::CannotBlock);
        }
        let left = deadline - host.now();
        if left <= 0.0 {
            return Ok(Waited::TimedOut);
        }
        if !agent.turn_end() {
            return Err(Error::Busy { agent: agent.index() });
        }
        let changed = spin(agent.memory(), watch);
        if !changed && host.wait(watch.address, watch.expected, left.min(wait::SLICE)) == Slept::CannotBlock {
            return Err(Error::CannotBlock);
        }
    }
}

/// Looks at the wait word a few times; whether it changed. It is a word of the object table for ever, so that looking
/// needs no operation.
fn spin(memory: Memory, watch: Watch) -> bool {
    for _ in 0..wait::SPINS {
        if memory.load32(watch.address) != watch.expected {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}
