//! A map from numbers and strings to values, in insertion order, as JavaScript's `Map`.
//!
//! The truth is a log of entries in the order in which their insertions began ([`log`]); a derived index finds them
//! ([`index`]). An entry is a key, a value word and a link of the index:
//!
//! `EMPTY → claimed → value ⇄ value → gone → out`
//!
//! each arrow one compare-exchange of the value word. Only *value* is an entry of the map; a place is claimed, given its
//! key, linked, and then gets its value. What is *gone* is taken out of the index and loses its key, by whoever meets it;
//! then it is *out*, and a chunk of which all is out is freed ([`reclaim`]).
//!
//! # Consistency
//! Linearizable, each operation on a key, and [`clear`]. Two insertions of one key at once are one entry, and both happen.
//! The order of the entries is that in which their insertions began. [`size`] is exact when nobody changes the map; a
//! change that is under way may be counted or not. Entries are read in batches: what is there all the time comes exactly
//! once, what comes or goes meanwhile at most once.
//!
//! Reads store nothing. They walk, copy, and see afterwards that neither the map's head nor its era ([`eras`]) is
//! another: nothing that could be met was freed meanwhile. Lock-free: a read that begins anew means that a chunk of
//! entries was deleted, or the map cleared.
//!
//! # If the caller dies here
//! A change has happened or not ([`settle`]). What it had claimed is not there for others, and its recovery gives it up.
//! An agent that died at work holds back memory that the map gives up afterwards, and its change may not be counted, until it is recovered.
//!
//! # Not promised
//! Comparing block words is as in [`crate::cell`]. Nothing here blocks.

mod audit;
mod change;
mod ended;
mod entries;
pub mod eras;
mod index;
mod key;
mod log;
#[cfg(any(shuttle, feature = "fault-points"))]
pub mod parts;
mod place;
mod reclaim;
mod settle;
mod transaction;
mod view;
mod words;
mod writer;

use coheap_alloc::{Address, Block, Operation, Result};

use crate::cell::{self, Taken};
use crate::claim::{self, claim};
use crate::object::{self, ERA, Handle, Info, Table, Type};
use crate::value;

pub use change::{add, clear, compare_and_set, delete, insert_if_absent, set};
pub use entries::entries;
pub use key::Key;
pub use place::{Located, Place, Seen, change_at, is_same_at, locate, number_at};
#[cfg(shuttle)]
pub use transaction::begin as begin_transaction;
pub use transaction::{Additions, MOST as MOST_ADDITIONS, add_many};

pub(crate) use audit::visit;
pub(crate) use audit::visit_value;
pub(crate) use change::finish_clear;
pub(crate) use ended::{Finished, finish, go_on, leave_rest, take_hint};
pub(crate) use entries::{record, size_of};
pub(crate) use reclaim::{FIRST_SLICE, free_value, is_edited, is_in_hands, take_cleared};
pub(crate) use settle::settle;
pub(crate) use transaction::{records_of, settle_some as settle_transaction};
pub(crate) use writer::{begin_work, give_up_work};

use transaction::look_at_value;
use view::{View, corrupt};
use words::*;

/// What [`entries`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The position that the next batch begins at.
    pub next: u64,
    /// Entries that were written.
    pub count: u32,
    /// Bytes that the next entry needs if not even one had room, else 0.
    pub needed: u32,
}

/// Makes an anonymous map. It lives until its last reference is given back; this agent has one.
///
/// # Errors
/// [`coheap_alloc::Error::OutOfMemory`].
pub fn create(operation: &Operation) -> Result<Handle> {
    make(operation, None)
}

pub(crate) fn make(operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Map)?;
    match make_head(operation, 0, 0, 0) {
        Ok(head) => claim::publish(operation, claim, head.to_word(), Info::new(0, bucket), Some(head)),
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

/// A private head without entries, made in this era.
fn make_head(operation: &Operation, previous: u64, base: u64, era: u64) -> Result<Block> {
    let head = writer::allocate(operation, HEAD_SIZE)?;
    let memory = operation.memory();
    let words = [
        (BUCKET_COUNT, 1),
        (PREVIOUS, previous),
        (BASE, base),
        (HEAD_MADE, era),
        // The first bucket is where the list begins.
        (BUCKETS, Link::LISTED),
    ];
    for (offset, word) in words {
        memory.set_own64(head.address.wrapping_add(offset), word);
    }
    Ok(head)
}

/// Reads: `f` is called until nothing that it could meet was freed meanwhile.
#[inline]
fn read<R>(table: Table, handle: Handle, mut f: impl FnMut(View) -> Result<R>) -> Result<R> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let memory = table.memory;
    let (era_at, word_at) = (entry.wrapping_add(ERA), entry.wrapping_add(object::VALUE));
    loop {
        let era = memory.load64(era_at);
        let word = memory.load64(word_at);
        let found = View::new(table, word).and_then(|view| f(view.watching(era_at, era)));
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::READ_WITHOUT_ERA) {
            // Seeded bug: what was read may have been freed and used again.
            return found;
        }
        let same = memory.load64_ordered(era_at) == era && memory.load64_ordered(word_at) == word;
        // It was this map's, if the entry is.
        table.check(entry, handle, Type::Map)?;
        if same {
            return found;
        }
    }
}

/// The value of a key, `None` if it is not there. Contents of a block of at most `room` bytes are copied to `to`, which
/// only this agent uses; of larger ones nothing is. Stores nothing else.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
#[inline]
pub fn get(table: Table, handle: Handle, key: &Key<'_>, to: Address, room: u32) -> Result<Option<Taken>> {
    let order = key.order(table)?;
    read(table, handle, |view| match view.find(key, order)? {
        Some((_, word)) if !value::is_block(word) && state(word) != State::Joined => plain(table, word),
        Some((entry, _)) => take(table, entry, to, room),
        None => Ok(None),
    })
}

#[inline]
fn plain(table: Table, word: u64) -> Result<Option<Taken>> {
    match state(word) {
        State::Value if value::to_number(word).is_some() || cell::is_known(table, word) => {
            Ok(Some(Taken::new(word, None)))
        }
        State::Value => corrupt(0),
        _ => Ok(None),
    }
}

/// The value of an entry, if it has one.
#[inline(never)]
fn take(table: Table, entry: Address, to: Address, room: u32) -> Result<Option<Taken>> {
    look_at_value(table, entry.wrapping_add(VALUE), |word, stored| {
        let Some(stored) = stored else { return plain(table, word) };
        if stored.length <= room {
            table.memory.copy_within(stored.at(), to, stored.length);
        }
        Ok(Some(Taken::new(word, Some(stored))))
    })
}

/// Whether the key is there. Loads only.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
pub fn has(table: Table, handle: Handle, key: &Key<'_>) -> Result<bool> {
    let order = key.order(table)?;
    read(table, handle, |view| match view.find(key, order)? {
        Some((_, word)) if state(word) != State::Joined => Ok(state(word) == State::Value),
        Some((entry, _)) => look_at_value(table, entry.wrapping_add(VALUE), |word, _| Ok(state(word) == State::Value)),
        None => Ok(false),
    })
}

/// How many entries there are. Loads only.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
pub fn size(table: Table, handle: Handle) -> Result<u64> {
    // A deletion may be counted before the insertion of what it deleted.
    read(table, handle, |view| Ok((view.load(view.field(COUNT)) as i32).max(0) as u64))
}
