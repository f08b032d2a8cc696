//! What becomes of an object that an operation was making or releasing when it was cut short.
//!
//! The allocator recovers the block part of a record: its block is published and in place, or freed. Then it calls
//! [`settle`] with the record's note. The rule is one: *what an operation was making is taken back unless its name is
//! listed; what it was releasing is finished if the release had begun.* A handle that an operation never answered is
//! known to nobody, so an anonymous object goes with the operation that made it.

use coheap_alloc::{Operation, Result};

use crate::claim::{self, Note};
use crate::name;
use crate::object::{INFO, Info, State, Table};

/// Decides what `note`, of the operation that the agent of slot `slot` left unfinished, says. Idempotent: whoever runs
/// it may die too. Never blocks.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`] when the directory cannot be read.
pub fn settle(operation: &Operation, slot: u32, note: u64) -> Result<()> {
    let table = Table::of(operation);
    let Note { handle, releasing } = Note::from_word(note);
    let Some(entry) = table.entry(handle.index) else { return Ok(()) };
    let word = table.word(entry);
    if word.generation() != handle.generation {
        return Ok(());
    }
    // A note is written before the entry is claimed: the claim may have been lost, and the entry another agent's.
    let mine = word.maker() == slot && !releasing;
    match word.state() {
        Some(State::Raw) if mine => claim::free_raw(table, handle.index, entry, word),
        Some(State::Live) if mine => {
            let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
            let listed = match info.bucket() {
                Some(bucket) => name::lists(operation, bucket, handle)?,
                None => false,
            };
            if !listed {
                claim::take_back(operation, handle)?;
            }
        }
        Some(State::Dying) => claim::finish(operation, handle)?,
        _ => {}
    }
    Ok(())
}
