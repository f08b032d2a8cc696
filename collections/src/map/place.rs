//! Where an entry was found, for an agent that asks for the same key again: without a search, and without a copy of what
//! it has already.
//!
//! A place of the log is one key's for as long as it is anything's. So while the map has the same head and the same era,
//! which proves that nothing was freed, the value word at a place that was found is the value of that key, or the key is
//! not there any more, or elsewhere: then it is searched for. A block whose generation and page's life are those that
//! were seen has been the same all the time, and what it holds never changes.
//!
//! Reads are loads only. What a place is deceived by takes 2³² uses of one block and 2²⁰ lives of its page between two reads.

use coheap_alloc::layout::{PAGE, slot};
use coheap_alloc::{Address, Agent, Memory, Result};

use super::eras;
use super::log::first_pair;
use super::transaction::look_at_value;
use super::view::View;
use super::words::*;
use super::{Key, plain};
use crate::cell::Taken;
use crate::object::{self, ERA, Handle, Table, Type};
use crate::string::{self, Stored};
use crate::{hold, value};

/// Where an entry was found, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The entry's address. What is made up is refused, or finds nothing that makes sense.
    pub entry: Address,
    /// The word of the map's head.
    pub head: u64,
    /// The map's era.
    pub era: u64,
}

/// Which value was read: the low half of its word; then the high half and [`NO_BLOCK`], or, if it has a block, the
/// block's generation and its page's life, from which the high half follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(pub [u32; 3]);

/// No page's life: those have 20 bits.
const NO_BLOCK: u32 = u32::MAX;

impl Seen {
    fn new(word: u64, stored: Option<&Stored>) -> Self {
        match stored {
            Some(stored) => Self([word as u32, stored.block().generation, stored.life()]),
            None => Self([word as u32, (word >> 32) as u32, NO_BLOCK]),
        }
    }

    /// Whether the value of `word` is this one.
    #[inline]
    fn is(self, table: Table, word: u64) -> bool {
        let Self([low, middle, high]) = self;
        if high == NO_BLOCK {
            return word == u64::from(low) | u64::from(middle) << 32;
        }
        // The block is in the life in which it was seen: so it was when the word named it.
        word as u32 == low && string::identity(table, word) == Some((middle, high))
    }
}

/// A value that was found, and what tells whether it is the same later.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// The value, as [`super::get`] answers it.
    pub taken: Taken,
    /// Where it was found.
    pub place: Place,
    /// Which value it is.
    pub seen: Seen,
}

/// As [`super::get`], and where it was found.
///
/// # Errors
/// As [`super::get`].
#[inline(never)]
pub fn locate(table: Table, handle: Handle, key: &Key<'_>, to: Address, room: u32) -> Result<Option<Located>> {
    let order = key.order(table)?;
    let object = table.entry_here(handle.index).ok_or_else(|| handle.stale())?;
    let memory = table.memory;
    // Lock-free: another round means that another agent deleted a chunk of entries, or cleared the map.
    loop {
        let era = memory.load64(object.wrapping_add(ERA));
        let head = memory.load64(object.wrapping_add(object::VALUE));
        let view = View::new_here(table, head).map(|view| view.watching(object.wrapping_add(ERA), era));
        let found = view.and_then(|view| match view.find(key, order)? {
            None => Ok(None),
            Some((entry, _)) => {
                // Who remembers the place writes there.
                view.table.check_own(entry.wrapping_add(VALUE))?;
                look_at_value(table, entry.wrapping_add(VALUE), |word, stored| {
                    let taken = match stored {
                        None => plain(table, word)?,
                        Some(stored) => {
                            if stored.length <= room {
                                memory.copy_within(stored.at(), to, stored.length);
                            }
                            Some(Taken::new(word, Some(stored)))
                        }
                    };
                    let (place, seen) = (Place { entry, head, era }, Seen::new(word, stored));
                    Ok(taken.map(|taken| Located { taken, place, seen }))
                })
            }
        });
        if is_there(table, handle, object, era, head)? {
            return found;
        }
    }
}

/// Whether the map is in the state that a look at it began in.
#[inline]
fn is_there(table: Table, handle: Handle, object: Address, era: u64, head: u64) -> Result<bool> {
    let memory = table.memory;
    let same = memory.load64_ordered(object.wrapping_add(ERA)) == era
        && memory.load64_ordered(object.wrapping_add(object::VALUE)) == head;
    table.check(object, handle, Type::Map)?;
    Ok(same)
}

/// The value word at a place; `None`: the key is to be searched for.
#[inline]
fn word_at(memory: Memory, place: Place) -> Option<u64> {
    let lies = place.entry >= PAGE && place.entry.is_multiple_of(8) && memory.has_here(place.entry, ENTRY);
    lies.then(|| memory.load64(place.entry.wrapping_add(VALUE)))
}

/// The number at a place. NaN stands for a NaN, for every other value, for a key that is to be searched for, and for
/// every error: [`locate`] says which.
#[inline]
#[must_use]
pub fn number_at(table: Table, handle: Handle, place: Place) -> f64 {
    let (Some(object), Some(word)) = (table.entry_here(handle.index), word_at(table.memory, place)) else {
        return f64::NAN;
    };
    match is_there(table, handle, object, place.era, place.head) {
        Ok(true) => f64::from_bits(word),
        _ => f64::NAN,
    }
}

/// Whether the value at a place is the one that was seen: `false` may be anything, [`locate`] says what.
#[inline]
#[must_use]
pub fn is_same_at(table: Table, handle: Handle, place: Place, seen: Seen) -> bool {
    let (Some(object), Some(word)) = (table.entry_here(handle.index), word_at(table.memory, place)) else {
        return false;
    };
    state(word) == State::Value
        && seen.is(table, word)
        && matches!(is_there(table, handle, object, place.era, place.head), Ok(true))
}

/// Exchanges the value at a place for what `next` makes of it, without a search: both are values without blocks. `None`,
/// and nothing changed: the key is to be searched for, which also tells every error. The agent is online; it needs no record.
#[inline]
pub fn change_at(agent: Agent, handle: Handle, place: Place, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let table = Table { memory: agent.memory(), control: agent.control() };
    let (memory, slot) = (table.memory, agent.slot());
    let object = table.entry_here(handle.index)?;
    // To be in an era that is to come keeps nothing.
    if !eras::is(memory, object, place.era) {
        return None;
    }
    // As `Writer::enter` does.
    hold::publish(memory, slot.wrapping_add(slot::HOLD), handle);
    eras::begin(memory, slot, place.era);
    let is_there = table.word(object).is_live(handle, Type::Map)
        && memory.load64(object.wrapping_add(object::VALUE)) == place.head
        && is_place(memory, place)
        && eras::is(memory, object, place.era);
    let mut done = None;
    // Of this head, in this era: so the place is this key's, and stays until the agent leaves.
    if is_there {
        let at = place.entry.wrapping_add(VALUE);
        let mut word = memory.load64(at);
        // Lock-free: another round means that another agent changed the entry.
        while state(word) == State::Value && !value::is_block(word) {
            let Some(changed) = next(word) else { break };
            match memory.compare_exchange64(at, word, changed) {
                Ok(_) => {
                    done = Some(changed);
                    break;
                }
                Err(found) => word = found,
            }
        }
    }
    eras::end(memory, slot);
    done
}

/// Whether the entry is one of the log that hangs on the place's head: a made-up one must not be written to. What lies in pages that the
/// instance has not heard of yet is none.
fn is_place(memory: Memory, place: Place) -> bool {
    let end = u64::from(memory.pages()) * u64::from(PAGE);
    let lies = |at: Address, size: u32| at >= PAGE && u64::from(at) + u64::from(size) <= end;
    let chunk = place.entry & !(CHUNK_SIZE - 1);
    let offset = place.entry - chunk;
    let head = place.head as Address;
    if !is_offset(offset) || !lies(chunk, CHUNK_SIZE) || !lies(head, HEAD_SIZE) {
        return false;
    }
    let number = memory.load64(chunk.wrapping_add(NUMBER));
    let Some((mut pair, height, index)) = first_pair(head, number) else { return false };
    let hangs = |pair: Address| memory.load64(pair.wrapping_add(RETIRED)) == 0;
    let count = if height == 1 && number < FIRST_CHUNKS + u64::from(SMALL_NODE) { SMALL_NODE } else { NODE };
    for level in 1..=height {
        let node = memory.load64(pair) as Address;
        if !hangs(pair) || !lies(node, node_size(count)) {
            return false;
        }
        pair = node.wrapping_add((index >> (8 * (height - level))) as u32 % count * PAIR);
    }
    hangs(pair) && memory.load64(pair) as Address == chunk
}
