//! A cell: one value that every agent reads, sets, compares and exchanges, adds to if it is a number, and waits for.
//!
//! # Consistency
//! Linearizable. The value is one word, or a word and the immutable block that it names ([`crate::string`]); a change is
//! one read-modify-write of the word, a read one load, or a copy of the block that is validated after it. Comparing is
//! `Object.is`, strings, bytes and big integers by their contents. A cell that is being released is either still found,
//! and then the change happens to this very cell, or its handle is stale ([`crate::hold`]).
//!
//! # If the caller dies here
//! Each change is one commit: it happened or it did not. A new block is published by [`Operation::replace`] and the one
//! that it replaces retired, so recovery frees the block that the cell does not name. If the change happened and the
//! caller died before it woke the waiters, they look again within [`wait::SLICE`] milliseconds.
//!
//! # Not promised
//! A change that compares block words tells two blocks apart by the address and 16 bits of the generation. A caller that
//! is stopped in the few instructions between its last look at the block and its exchange, while the same block comes
//! back to the same cell after exactly a multiple of 65,536 uses, takes the one for the other.
//!
//! Nothing here blocks except [`wait`] and [`wait_value`].

mod contents;
mod waiting;

use coheap_alloc::{Address, Agent, Block, Entry, Error, Kind, Memory, Operation, Result};

use crate::block;
use crate::claim::{self, claim};
use crate::object::{Handle, Info, Table, Type, VALUE};
use crate::string::{self, Form, Given, Made, Stored};
use crate::value::Tag;
use crate::wait::{self, Host, Wake, Watch};
use crate::{hold, rule, value};

pub(crate) use contents::{LOOKS, is_known, look_at};
pub use contents::{Taken, compare_and_set_value, piece, snapshot, take};
pub use waiting::{Waited, wait, wait_value, watch, watch_value, watch_word};

use contents::*;

/// Makes an anonymous cell that holds `number`. It lives until its last reference is given back;
/// this agent has one.
///
/// # Errors
/// [`Error::OutOfMemory`] when the object table cannot grow.
pub fn create(operation: &Operation, number: f64) -> Result<Handle> {
    make(operation, number, None)
}

pub(crate) fn make(operation: &Operation, number: f64, bucket: Option<u8>) -> Result<Handle> {
    publish(operation, Made { word: value::from_number(number), block: None }, bucket)
}

/// Makes an anonymous cell that holds this value. The agent has a reference to it.
///
/// # Errors
/// Those of [`string::make`].
pub fn create_holding(operation: &Operation, given: Given<'_>) -> Result<Handle> {
    make_holding(operation, given, None)
}

/// A cell that holds this value. What was made for it is given back if there is no cell.
#[inline(never)]
pub(crate) fn make_holding(operation: &Operation, given: Given<'_>, bucket: Option<u8>) -> Result<Handle> {
    let made = string::make(operation, given)?;
    publish(operation, made, bucket).or_else(|error| made.discard(operation).and(Err(error)))
}

fn publish(operation: &Operation, made: Made, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Cell)?;
    claim::publish(operation, claim, made.word, Info::new(0, bucket), made.block)
}

fn number(entry: Address, word: u64) -> Result<f64> {
    value::to_number(word).ok_or_else(|| not_a_number(entry, word))
}

#[cold]
fn not_a_number(entry: Address, word: u64) -> Error {
    match value::tag(word) {
        Some(tag) => Error::not_a_number(tag as u32),
        None => Error::corrupt(rule::NOT_A_VALUE, entry.wrapping_add(VALUE)),
    }
}

/// The number. Loads only: the value first and then the entry's word, which proves whose value it was.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::NotANumber`], [`Error::Corrupt`].
#[inline(always)]
pub fn get(table: Table, handle: Handle) -> Result<f64> {
    let entry = table.entry_here(handle.index).ok_or_else(|| handle.stale())?;
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    table.check(entry, handle, Type::Cell)?;
    number(entry, word)
}

/// As [`get`] for the fastest way in: NaN stands for a NaN, for every other kind of value (whose words are NaNs) and for
/// every error; [`take`] says which.
#[inline(always)]
#[must_use]
pub fn get_or_nan(table: Table, handle: Handle) -> f64 {
    let Some(entry) = table.entry_here(handle.index) else { return f64::NAN };
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    if table.word(entry).is_live(handle, Type::Cell) { f64::from_bits(word) } else { f64::NAN }
}

/// Sets the number. One compare-exchange, and one load of the wait word; more if the cell holds a block.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
#[inline(always)]
pub fn set(operation: &Operation, handle: Handle, number: f64) -> Result<Wake> {
    let entry = hold::hold_here(operation, handle, Type::Cell)?;
    let word = value::from_number(number);
    match put(operation.memory(), entry, word) {
        Some(wake) => Ok(wake),
        None => exchange(operation, entry, Made { word, block: None }),
    }
}

/// Changes the value of the cell in `entry`, which the caller holds, and answers who is to be woken; `None`, and nothing
/// changed, when it holds a block, which must be retired then.
#[inline(always)]
pub fn put(memory: Memory, entry: Address, word: u64) -> Option<Wake> {
    let at = entry.wrapping_add(VALUE);
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::WAKE_BEFORE_CHANGE) {
        // Seeded bug: looks for waiters before the change that they wait for.
        let wake = wait::after_change(memory, entry);
        memory.swap64(at, word);
        return Some(wake);
    }
    let old = memory.load64(at);
    if value::is_block(old) {
        return None;
    }
    match memory.compare_exchange64(at, old, word) {
        Ok(_) => Some(wait::after_change(memory, entry)),
        Err(found) => put_over(memory, entry, found, word),
    }
}

/// As [`put`], after another agent changed the cell to `found`.
#[cold]
#[inline(never)]
fn put_over(memory: Memory, entry: Address, found: u64, word: u64) -> Option<Wake> {
    let mut old = found;
    // Lock-free: another round means that another agent changed the cell.
    while !value::is_block(old) {
        match memory.compare_exchange64(entry.wrapping_add(VALUE), old, word) {
            Ok(_) => return Some(wait::after_change(memory, entry)),
            Err(found) => old = found,
        }
    }
    None
}

/// Sets any value: publishes its block, if it has one, and retires that of the value before. Lock-free.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`], those of [`string::make`]: the cell is as it was.
#[inline(never)]
pub fn set_value(operation: &Operation, handle: Handle, given: Given<'_>) -> Result<Wake> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let made = string::make(operation, given)?;
    if made.block.is_none()
        && let Some(wake) = put(operation.memory(), entry, made.word)
    {
        return Ok(wake);
    }
    exchange(operation, entry, made).or_else(|error| made.discard(operation).and(Err(error)))
}

/// Puts `made` into the cell in `entry`, which the caller holds, whatever is there.
#[cold]
#[inline(never)]
fn exchange(operation: &Operation, entry: Address, made: Made) -> Result<Wake> {
    let table = Table::of(operation);
    let at = entry.wrapping_add(VALUE);
    let mut lost = 0;
    // Lock-free: another round means that another agent changed the cell.
    loop {
        let word = table.memory.load64_ordered(at);
        // Nothing is read of the block but its header, and the exchange proves that the word still named it.
        let old = string::block_of(table, word);
        if value::is_block(word) && old.is_none() {
            lost = if table.memory.load64_ordered(at) == word { lost + 1 } else { 0 };
            if lost == LOOKS {
                return Err(Error::corrupt(rule::VALUE_BLOCK, entry));
            }
            continue;
        }
        if operation.replace(at, word, made.word, made.block, old)?.is_ok() {
            return Ok(wait::after_change(table.memory, entry));
        }
    }
}

/// Adds to the number and answers the sum. Lock-free: each retry means that another agent changed the cell.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::NotANumber`], [`Error::Corrupt`].
pub fn add(operation: &Operation, handle: Handle, delta: f64) -> Result<(f64, Wake)> {
    let entry = hold::hold_here(operation, handle, Type::Cell)?;
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
