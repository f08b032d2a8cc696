//! What becomes of an object that an operation was making or releasing when it was cut short.
//!
//! The allocator recovers the block part of a record: its block is published and in place, or freed. Then it calls
//! [`settle`] with the record's note, and the count that was changing is decided ([`crate::count`]). The rule is one: *an
//! answer that was never given is taken back.* What an operation was making goes unless its name is listed; the
//! reference that it took is given back, or parked again; what it was giving back is given back.
//!
//! [`settle`] gives up what one operation left. What a dead agent holds is [`crate::count::give_back`]'s.

use coheap_alloc::{Error, Operation, Result};

use crate::claim::{self, Note, Purpose};
use crate::count::CountWord;
use crate::holdings::{self, Holder};
use crate::object::{COUNT, Handle, INFO, Info, State, Table, Type};
use crate::{count, list, map, name, nested, pipe};

/// Decides what `note`, of the operation that the agent of slot `slot` left unfinished, says. Idempotent: whoever runs
/// it may die too. Never blocks. Always all of it: the answer is `true`.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`] when the directory cannot be read.
pub fn settle(operation: &Operation, slot: u32, note: u64) -> Result<bool> {
    settle_some(operation, slot, note, u32::MAX)
}

/// As [`settle`], but not more than `most` keys of a transaction; whether that is all.
///
/// # Errors
/// As [`settle`].
pub(crate) fn settle_some(operation: &Operation, slot: u32, note: u64, most: u32) -> Result<bool> {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::NOTHING_SETTLED) {
        // Seeded bug: what the record says is lost.
        return Ok(true);
    }
    let Some(holder) = Holder::at(operation, slot) else { return Ok(true) };
    let Note { handle, purpose } = Note::from_word(note);
    nested::settle_count(operation, holder)?;
    // Before it is decided what stands in its place.
    list::settle_setting(operation, holder)?;
    list::decide_edit(operation, holder)?;
    if purpose == Purpose::Mapping {
        map::settle(operation, holder, handle)?;
    } else {
        count::settle(operation, holder)?;
    }
    // Before anything is ended: taking a map apart takes references out of it, by the same words of the slot.
    nested::settle(operation, holder)?;
    list::settle_edit(operation, holder)?;
    // Before what the holder has on loan goes back. Who waits for that looks again by itself.
    if map::settle_transaction(operation, holder, most)?.is_none() {
        return Ok(false);
    }
    settle_purpose(operation, holder, Note { handle, purpose }).map(|()| true)
}

/// What is left of the operation once its parts are settled.
fn settle_purpose(operation: &Operation, holder: Holder, note: Note) -> Result<()> {
    let Note { handle, purpose } = note;
    match purpose {
        Purpose::Making => settle_made(operation, holder, handle),
        Purpose::Acquiring => give_back(operation, holder, handle),
        Purpose::Releasing => {
            // A loan that was on its way back comes back, also if the reference stays.
            if Table::of(operation).find(handle, Type::Pipe).is_ok() {
                pipe::settle(operation, holder, handle, pipe::Back::Nothing)?;
            }
            claim::finish(operation, handle)
        }
        Purpose::Taking => put_back(operation, holder, handle),
        Purpose::Piping => pipe::settle(operation, holder, handle, pipe::Back::Nothing),
        Purpose::Leasing => pipe::settle(operation, holder, handle, pipe::Back::Unheard),
        Purpose::Mapping | Purpose::Nesting => Ok(()),
    }
}

fn settle_made(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    let table = Table::of(operation);
    let Some(entry) = table.entry(handle.index) else { return Ok(()) };
    let word = table.word(entry);
    let same = word.generation() == handle.generation;
    if same && word.maker() != holder.index {
        // A note is written before the entry is claimed: that was lost, and the entry is another agent's, or free.
        return Ok(());
    }
    match word.state() {
        Some(State::Raw) if same => claim::free_raw(table, handle.index, entry, word),
        Some(State::Live) if same => {
            let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
            let listed = match info.bucket() {
                Some(bucket) => name::lists(operation, bucket, handle)?,
                // The name is gone again: until then it was listed.
                None => info.remover().is_some(),
            };
            let others =
                info.bucket().is_none() && CountWord(table.memory.load64(entry.wrapping_add(COUNT))).count() > 1;
            return if listed || others {
                give_back(operation, holder, handle)
            } else {
                claim::take_back(operation, holder, handle)
            };
        }
        Some(State::Dying) if same => claim::finish(operation, handle)?,
        _ => {}
    }
    holdings::remove(operation.memory(), holder, handle)
}

/// Gives back a reference that nobody heard of.
fn give_back(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    if holdings::holds(operation.memory(), holder, handle)? {
        unless_stale(count::release_of(operation, holder, handle).map(drop))
    } else {
        Ok(())
    }
}

/// A parked reference waits for the next one to open the object.
fn put_back(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    if holdings::holds(operation.memory(), holder, handle)? {
        unless_stale(count::park_of(operation, holder, handle))
    } else {
        Ok(())
    }
}

/// An object that is gone has nothing to give back.
fn unless_stale(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::StaleHandle { .. }) => Ok(()),
        other => other,
    }
}
