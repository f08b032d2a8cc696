//! What becomes of a change of a map that was cut short.
//!
//! *A value that is there stays, one that is gone stays gone*, and the count follows: the record names the place, the
//! place says who claimed it or deleted it last, and the count's mark says whether it was counted ([`crate::count`]). A
//! place that was claimed and has no value is given up. A new head that no entry names goes.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Kind, Operation, Result};

use super::words::*;
use super::writer::Writer;
use crate::count::{self, Change, Counted};
use crate::holdings::Holder;
use crate::object::{self, Handle};

/// Decides what the holder's record says about a map. Idempotent; the holder does not run, and what it held is held.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`].
pub(crate) fn settle(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    let memory = operation.memory();
    let field = |offset: Address| holder.slot.wrapping_add(offset);
    let sequence = memory.load64(field(slot::COUNTING));
    let change = Change::from_word(memory.load64(field(slot::CHANGE)));
    if let (Some(change), Some(head)) = (change, Counted::head_of(memory.load64(field(slot::TARGET)))) {
        let writer = Writer::again(operation, handle, head)?;
        let place = memory.load64(field(slot::PLACE));
        if matches!(change, Change::Claim | Change::Insert | Change::Delete) {
            writer.view.table.check_own((place as Address).wrapping_add(VALUE))?;
        }
        match change {
            Change::Claim | Change::Insert => writer.settle_insertion(holder, change, place as Address, sequence)?,
            Change::Delete => writer.settle_deletion(holder, place as Address, sequence)?,
            Change::Clear => writer.settle_clear(place)?,
            // Not a map's.
            _ => {}
        }
    }
    count::end(memory, holder);
    Ok(())
}

impl Writer<'_> {
    fn happened(&self, holder: Holder, sequence: u64) -> bool {
        count::happened(self.memory(), holder, Counted::of_entries(self.view.head), sequence)
    }

    fn settle_insertion(&self, holder: Holder, change: Change, place: Address, sequence: u64) -> Result<()> {
        self.give_up(place, holder.index, sequence)?;
        let word = self.view.load(place.wrapping_add(VALUE));
        let is_gone = matches!(state(word), State::Gone | State::Out);
        if is_gone && is_abandoned(word) && is_by(word, holder.index, sequence) {
            return if state(word) == State::Gone { self.remove(place) } else { Ok(()) };
        }
        // Another agent may have the place, unless this one had it for sure: then its entry got a value.
        if change == Change::Insert && !self.happened(holder, sequence) {
            self.count(holder, true, sequence);
        }
        Ok(())
    }

    fn settle_deletion(&self, holder: Holder, place: Address, sequence: u64) -> Result<()> {
        let word = self.view.load(place.wrapping_add(VALUE));
        let is_gone = matches!(state(word), State::Gone | State::Out);
        if !is_gone || is_abandoned(word) || !is_by(word, holder.index, sequence) {
            return Ok(());
        }
        if !self.happened(holder, sequence) {
            self.count(holder, false, sequence);
        }
        if state(word) == State::Gone { self.remove(place) } else { Ok(()) }
    }

    fn settle_clear(&self, word: u64) -> Result<()> {
        let Some(block) = Block::from_word(word) else { return Ok(()) };
        if self.operation.is_live(block) != Some(Kind::Map) {
            return Ok(());
        }
        let named = self.memory().load64(self.entry.wrapping_add(object::VALUE)) == word;
        // Who takes a head out of the entry says so before in the head.
        if !named && self.memory().load64(block.address.wrapping_add(INSTALLED)) == 0 {
            crate::block::free(self.operation, block)?;
        }
        Ok(())
    }
}
