//! Counted references: an object lives until the last one is given back.
//!
//! A reference belongs to an agent ([`crate::holdings`]), to the name directory, or to nobody: those are *parked*, and
//! who opens the object next gets one. An entry has two words that count, one the references and one the parked ones
//! among them:
//!
//! `count 16 · generation 16 (the low bits) · last slot 12 · last sequence 20`
//!
//! # Each change happens once
//! A +1 that was cut short must not happen twice, nor never. Before each change an agent writes into its slot what it
//! is about to do, under a *sequence* that is never used again; the change is one compare-exchange, which leaves the
//! maker's {slot, sequence} in the word as its *mark*. So a mark says that a change happened. Who changes the word next
//! overwrites the mark: if that change is still in its maker's record, it first raises the maker's *done* word to that
//! sequence. Recovery looks at the word and then at *done*: the mark is there, or was noted, or the change did not
//! happen and no longer can, because its maker is not running.
//!
//! A mark has only the low bits of a sequence. Two changes are never confused nevertheless: who begins a change takes the
//! next sequence if its own mark of old stands in the word with the same low bits; and who notes a mark looks whether
//! the record is about this very word, and whether the mark still stands there.
//!
//! The model is `tests/models/count.test.mjs`.
//!
//! # Which word the changes hit
//! Entries are words of the table for ever, but a word may count the references of the next object. An agent that takes
//! a reference holds the object first ([`crate::hold`]): until it lets go, the entry is not used again. One that gives a
//! reference back has one, and the object cannot end before. So an agent's hold is another one after a call of this
//! module.
//!
//! # If the caller dies here
//! [`settle`] decides from the record: taking a reference has happened or not; giving back is done. What the agent still
//! holds is in its holdings, see [`give_back`].
//!
//! Lock-free: a retry means that another agent changed the count.

mod reference;
mod settle;
mod word;

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Error, Memory, Operation, Result};

use crate::claim::{self, Note, Purpose};
use crate::holdings::{self, Holder};
use crate::object::{COUNT, EntryWord, Handle, INFO, Info, PARKED, Table, Type};
use crate::wait::{Host, Wake};
use crate::{hold, pipe, rule};

pub use reference::{acquire, park, release, release_any};
pub(crate) use reference::{acquire_kept, park_of, release_of, unname};
pub(crate) use settle::give_some_back;
pub use settle::{detach, give_back, settle};
pub use word::{Change, CountWord, Counted, MOST, Refused, Which};

use reference::*;
use word::*;

/// The sequence after this one: never one whose mark would look like none.
fn after(sequence: u64) -> u64 {
    let next = sequence.wrapping_add(1);
    if next & MARK_BITS == 0 { next.wrapping_add(1) } else { next }
}

fn field(holder: Holder, offset: Address) -> Address {
    holder.slot.wrapping_add(offset)
}

/// Draws the sequence of a change of this word. The mark of an old change of the same holder may stand in it: the new
/// one is another.
fn draw(memory: Memory, holder: Holder, counted: Counted) -> u64 {
    let mut sequence = after(memory.load64(field(holder, slot::SEQUENCE)));
    #[cfg(feature = "controls")]
    let skip = !crate::controls::is_on(crate::controls::OLD_MARK);
    #[cfg(not(feature = "controls"))]
    let skip = true;
    if skip && counted.load(memory).is_marked(holder, sequence) {
        sequence = after(sequence);
    }
    memory.store64(field(holder, slot::SEQUENCE), sequence);
    sequence
}

/// Writes into the holder's slot what is about to change, and why. From here on recovery decides. The answer is the
/// change's sequence.
pub fn begin(memory: Memory, holder: Holder, counted: Counted, change: Change) -> u64 {
    let change_at = field(holder, slot::CHANGE);
    if memory.own64(change_at) != 0 {
        // What an error left: with another target it would be another change.
        memory.store64(change_at, 0);
    }
    let sequence = draw(memory, holder, counted);
    let target = field(holder, slot::TARGET);
    if memory.own64(target) != counted.target() {
        memory.store64(target, counted.target());
    }
    memory.store64(field(holder, slot::COUNTING), sequence);
    // Last: until here there is nothing to decide.
    memory.store64(change_at, change as u64);
    sequence
}

/// Nothing is in flight any more.
pub fn end(memory: Memory, holder: Holder) {
    memory.store64(field(holder, slot::CHANGE), 0);
    memory.store64(field(holder, slot::COUNTING), 0);
}

/// Adds to the count, under the holder's mark, and answers what it is then.
///
/// # Errors
/// Why nothing changed.
pub fn change(memory: Memory, holder: Holder, counted: Counted, add: bool, sequence: u64) -> Result<u32, Refused> {
    let mut seen = counted.load(memory);
    loop {
        let count = counted.next(seen, add)?;
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::NOTE_AFTER) {
            // Seeded bug: notes the mark of another's change when it is overwritten already.
            match memory.compare_exchange64(counted.at(), seen.0, counted.changed(seen, count, holder, sequence)) {
                Ok(_) => {
                    note(memory, holder, counted, seen);
                    return Ok(count);
                }
                Err(found) => {
                    seen = CountWord(found);
                    continue;
                }
            }
        }
        note(memory, holder, counted, seen);
        match memory.compare_exchange64(counted.at(), seen.0, counted.changed(seen, count, holder, sequence)) {
            Ok(_) => return Ok(count),
            Err(found) => seen = CountWord(found),
        }
    }
}

/// Notes that the change whose mark is about to be overwritten has happened, if its maker's record still has it.
fn note(memory: Memory, holder: Holder, counted: Counted, seen: CountWord) {
    if seen.sequence() == 0 || seen.slot() == holder.index & 0xFFF {
        return;
    }
    // The maker's slot is in the same chunks as all others; a word that says otherwise was not written by coheap.
    let Some(maker) = other(memory, holder, seen.slot()) else { return };
    let at = field(maker, slot::DONE);
    // Another round means that another agent noted a change of this maker.
    loop {
        let done = memory.load64_ordered(at);
        let sequence = memory.load64_ordered(field(maker, slot::COUNTING));
        if sequence == 0 || sequence & MARK_BITS != seen.sequence() || done >= sequence {
            return;
        }
        // The target changes only while nothing is in flight, so it is this sequence's if the sequence stays. And the
        // mark is this sequence's if it stands in the word now: when it was drawn, another one did.
        let target = memory.load64_ordered(field(maker, slot::TARGET));
        let same = memory.load64_ordered(field(maker, slot::COUNTING)) == sequence && target == counted.target();
        #[cfg(feature = "controls")]
        let same = same || crate::controls::is_on(crate::controls::NOTE_ANYTHING);
        if !same || counted.load(memory) != seen || memory.compare_exchange64(at, done, sequence).is_ok() {
            return;
        }
    }
}

fn other(memory: Memory, holder: Holder, index: u32) -> Option<Holder> {
    let control = memory.load32(field(holder, slot::CONTROL));
    coheap_alloc::slot::find(memory, control, index).map(|slot| Holder { slot, index })
}

/// Whether a change that was cut short has happened. Its maker does not run, so it cannot happen any more.
#[must_use]
pub fn happened(memory: Memory, holder: Holder, counted: Counted, sequence: u64) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::DONE_FIRST) {
        // Seeded bug: the mark may be overwritten, and noted, between the two loads.
        let done = memory.load64_ordered(field(holder, slot::DONE));
        return counted.load(memory).is_marked(holder, sequence) || done >= sequence;
    }
    // In this order: a mark that is not there any more was noted before it went.
    counted.load(memory).is_marked(holder, sequence) || memory.load64_ordered(field(holder, slot::DONE)) >= sequence
}

pub(crate) fn no_object(handle: Handle) -> impl FnOnce(Refused) -> Error {
    move |refused| match refused {
        Refused::Gone => handle.stale(),
        Refused::Full => Error::too_many_references(handle.index, MOST),
    }
}
