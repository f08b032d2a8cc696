//! The first halves of changes, for models in which an agent dies between the two, and looks inside. Not in what ships.

use coheap_alloc::{Operation, Result};

use super::index::Found;
use super::words::*;
use super::writer::Writer;
use super::{Handle, Key, Table};
use crate::count::Change;
use crate::nested;
use crate::string::{self, Given};

/// Inserts a key as far as `steps` says: claimed, linked. It has no value yet.
///
/// # Errors
/// As [`super::set`].
pub fn begin_insertion(operation: &Operation, handle: Handle, key: &Key<'_>, steps: u32) -> Result<()> {
    let order = key.order(Table::of(operation))?;
    let writer = Writer::enter(operation, handle)?;
    let (entry, _) = writer.claim_place(key)?;
    if steps > 0 {
        writer.go_on(Change::Insert);
        if let Found::Absent(at, link) = writer.find(key, order)? {
            let _ = writer.link(entry, order, at, link);
        }
    }
    Ok(())
}

/// Deletes a key as far as `steps` says: gone, counted. The index still has it.
///
/// # Errors
/// As [`super::delete`].
pub fn begin_deletion(operation: &Operation, handle: Handle, key: &Key<'_>, steps: u32) -> Result<()> {
    let order = key.order(Table::of(operation))?;
    let writer = Writer::enter(operation, handle)?;
    let Found::Entry(entry) = writer.find(key, order)? else { return Ok(()) };
    let sequence = writer.begin(Change::Delete, u64::from(entry));
    let at = entry.wrapping_add(VALUE);
    let gone = gone(writer.holder().index, sequence);
    let word = writer.view.load(at);
    let done = state(word) == State::Value && writer.memory().compare_exchange64(at, word, gone).is_ok();
    if done && steps > 0 {
        writer.count(writer.holder(), false, sequence);
    }
    Ok(())
}

/// Gives a key that is there a reference to another object as far as `steps` says: made, about to be put there, there. What
/// it replaced is not given up.
///
/// # Errors
/// As [`super::set`].
pub fn begin_nesting(operation: &Operation, handle: Handle, key: &Key<'_>, other: Handle, steps: u32) -> Result<()> {
    let made = nested::make(operation, Given::Reference(other))?;
    let order = key.order(Table::of(operation))?;
    let writer = Writer::enter(operation, handle)?;
    let Found::Entry(entry) = writer.find(key, order)? else { return Ok(()) };
    let at = entry.wrapping_add(VALUE);
    let word = writer.view.load(at);
    if steps > 0
        && state(word) == State::Value
        && let Some(block) = made.block
    {
        if let Some(old) = string::block_of(Table::of(operation), word) {
            nested::begin_drop(operation, old);
        }
        nested::begin_place(operation, block, at);
        if steps > 1 {
            let _ = writer.memory().compare_exchange64(at, word, made.word);
        }
    }
    Ok(())
}

/// Whether a search for `key` passes the entry of `other`, if nothing is between them.
///
/// # Errors
/// As [`super::get`].
pub fn passes(table: Table, handle: Handle, other: &Key<'_>, key: &Key<'_>) -> Result<bool> {
    let orders = (other.order(table)?, key.order(table)?);
    super::read(table, handle, |view| {
        // In the smallest table: what the buckets split later is not known yet.
        let same = bucket_of(orders.0, 64) == bucket_of(orders.1, 64);
        Ok(same && view.bucket_count() <= 64 && orders.0 < orders.1)
    })
}

/// The block of the first chunk.
///
/// # Errors
/// As [`super::get`].
pub fn first_chunk(table: Table, handle: Handle) -> Result<Option<coheap_alloc::Block>> {
    super::read(table, handle, |view| Ok(coheap_alloc::Block::from_word(view.load(view.field(CHUNKS)))))
}

/// How many buckets there are.
///
/// # Errors
/// As [`super::get`].
pub fn bucket_count(table: Table, handle: Handle) -> Result<u32> {
    super::read(table, handle, |view| Ok(view.bucket_count()))
}
