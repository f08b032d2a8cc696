//! A pipe: a bounded stream of bytes that many agents write to and read from.
//!
//! Each write puts its bytes into a block of its own, and the block into the next of a ring of *places*. Two marks say
//! where the next write goes and where the next read begins; each is one word {position, sequence of the write}. A word
//! of a place is `empty → block → empty of the next round`, or *closed*.
//!
//! * A write commits by the exchange of its place. The tail is moved on by whoever comes by, because the block says how
//!   long it is; no read goes past it, so that it always can be.
//! * A read copies, and commits by the exchange of the head: it is the same mark still, so nobody took these bytes, and no
//!   block was freed, for what is before the head is freed only after it has passed. What a read used up it frees, but for
//!   small blocks; those, and what its death leaves, are freed by the next write in their place, by the same exchange.
//! * A *loan* ([`lease`]) copies likewise, into a block of its own, and names itself in the head as who moved it. So what
//!   became of it is to be seen, and its bytes go back to the pipe as the next to be read, unless they are committed.
//!
//! # Consistency
//! Linearizable: writes, reads, taking and committing a loan, closing and aborting. The bytes of one write stand together
//! and in order; those that one agent wrote stand in its order. Bytes that come back from a loan are read before all that
//! were not read yet, those of several loans in the order of the stream.
//!
//! Lock-free: where a loop has no bound, each round means that another agent wrote or read. Nobody waits for a slow
//! writer or reader: what one is about to write is nowhere, and what one has on loan does not hold the others up.
//!
//! # If the caller dies here
//! A write has happened whole, or not at all. A read, too: its bytes are gone with the reader. Bytes on loan come back.
//!
//! # Not promised
//! Positions count modulo 4 TiB; an agent that is stopped inside a call for exactly so many bytes takes one mark for the
//! other. Of a pipe that was aborted nothing can be read.
//!
//! Nothing here blocks: what finds no bytes, or no room, answers what to wait for ([`Outcome::Wait`]).

mod audit;
mod lease;
mod loans;
#[cfg(feature = "controls")]
pub mod parts;
mod read;
mod tidy;
mod waiting;
mod words;
mod write;

use coheap_alloc::{Address, Block, Error, Kind, Operation, Result};

use crate::cell::{self, Taken};
use crate::claim::{self, Note, Purpose, claim};
use crate::object::{Handle, Info, Table, Type};
use crate::wait::{self, Wake, Watch};
use crate::{block, hold, string, value};

pub use lease::{Lease, commit, give_up, give_up_unheard, lease, lease_bytes};
pub(crate) use lease::{check_lease, commit_of};
pub use read::{Read, Until, read};
pub use write::{Source, abort, close, lose, write};

pub(crate) use audit::visit;
pub(crate) use loans::{Back, return_all};
pub(crate) use tidy::{settle, take_apart};

use waiting::Waiting;
use words::*;

/// Bytes that a pipe may have room for, at least.
pub const SMALLEST: u32 = 4096;
/// Bytes that a pipe may have room for, at most.
pub const LARGEST: u32 = 1 << 30;
/// Bytes of a write that is one in any case.
pub const ATOMIC: u32 = 4096;
/// Bytes of a write at most: of longer ones, so many are written.
pub const LONGEST: u32 = 60 * 1024 - BYTES;
/// Places at most, and one more than the writes that a pipe can have in it.
pub const MOST_PLACES: u32 = 4096;
/// Bytes that one processor has of the memory at once.
const LINE: u32 = 64;
/// Bytes of a write whose block stays in its place until the next write comes there: so few that its reader would be longer at
/// giving it back than at reading it.
const KEPT: u32 = 64;
/// Bytes for each place that a pipe has, unless those would be more than [`MOST_PLACES`].
const BYTES_A_PLACE: u32 = 32;

/// What came of a call that finds the pipe full or empty at times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// This.
    Done(T),
    /// Nothing, and what to sleep on until it is worth another try; `None` if the caller did not ask for it.
    Wait(Option<Watch>),
}

/// Makes an anonymous pipe of so many bytes at least [`SMALLEST`] and at most [`LARGEST`]. The agent has a reference to it.
///
/// # Errors
/// [`Error::OutOfRange`], [`Error::OutOfMemory`].
pub fn create(operation: &Operation, capacity: u32) -> Result<Handle> {
    make(operation, capacity, None)
}

pub(crate) fn make(operation: &Operation, capacity: u32, bucket: Option<u8>) -> Result<Handle> {
    if !(SMALLEST..=LARGEST).contains(&capacity) {
        return Err(Error::out_of_range(u64::from(SMALLEST), u64::from(capacity), u64::from(LARGEST)));
    }
    let claim = claim(operation, Type::Pipe)?;
    match make_head(operation, capacity) {
        Ok(head) => claim::publish(operation, claim, head.to_word(), Info::new(capacity, bucket), Some(head)),
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

fn make_head(operation: &Operation, capacity: u32) -> Result<Block> {
    let places = (capacity / BYTES_A_PLACE).next_power_of_two().min(MOST_PLACES);
    let head = block::allocate_at(operation, PLACES + places * 8, LINE, Kind::Pipe)?;
    let set = |offset, word| operation.memory().set_own64(head.address.wrapping_add(offset), word);
    (0..PLACES / 8).for_each(|word| set(word * 8, 0));
    set(SHAPE, u64::from(capacity) | u64::from(places) << 32);
    set(REASON, value::EMPTY);
    (0..places).for_each(|place| set(PLACES + place * 8, Place::empty(u64::from(place))));
    Ok(head)
}

/// How many bytes the pipe has room for.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn capacity(table: Table, handle: Handle) -> Result<u32> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let info = Info(table.memory.load64(entry.wrapping_add(crate::object::INFO)));
    table.check(entry, handle, Type::Pipe)?;
    Ok(info.length())
}

/// How many bytes can be read, without those that came back from loans. Exact when nobody writes or reads.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn available(operation: &Operation, handle: Handle) -> Result<u64> {
    let view = open(operation, handle)?;
    // The tail of a writer that died is moved on, and the head is read first, so that it is not beyond.
    let _ = write::next_place(&view)?;
    let head = view.head();
    Ok(distance(head.position(), view.tail().position()).unwrap_or(0))
}

/// Why the pipe was aborted, as [`cell::take`] answers a value; `None` if it was not. Contents that fit are copied to
/// `to`, which only this agent uses.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn reason(operation: &Operation, handle: Handle, to: Address, room: u32) -> Result<Option<Taken>> {
    let view = open(operation, handle)?;
    let table = Table::of(operation);
    // Written once, and the pipe is held.
    cell::look_at(table, view.field(REASON), |word, stored| {
        if word == value::EMPTY {
            return Ok(None);
        }
        if let Some(stored) = stored.filter(|stored| stored.length <= room) {
            table.memory.copy_within(stored.at(), to, stored.length);
        }
        Ok(Some(Taken::new(word, stored)))
    })
}

/// Holds the pipe and finds its head.
fn open(operation: &Operation, handle: Handle) -> Result<View> {
    let entry = hold::hold(operation, handle, Type::Pipe)?;
    View::new(Table::of(operation), entry)
}

/// As [`open`], for who goes on only if the pipe was not aborted.
#[inline(never)]
fn open_sound(operation: &Operation, handle: Handle) -> Result<View> {
    let view = open(operation, handle)?;
    check_sound(&view, handle)?;
    Ok(view)
}

fn check_sound(view: &View, handle: Handle) -> Result<()> {
    if view.load(view.field(REASON)) == value::EMPTY {
        return Ok(());
    }
    Err(Error::pipe_aborted(handle.index))
}

/// From here on recovery looks after the loans and the places of this pipe.
fn note(operation: &Operation, handle: Handle) {
    operation.note(Note { handle, purpose: Purpose::Piping }.to_word());
}

/// After a change that others may wait for.
fn wake(view: &View) -> Wake {
    wait::after_change(view.memory, view.entry)
}
