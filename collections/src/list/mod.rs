//! A list of values, with the names of JavaScript's `Array`.
//!
//! The truth is a *root*: a table of segments of *chunks*, which are places of a word each, and behind it an open tail of
//! chunks that are filled place by place ([`words`]). A push exchanges the first empty place of the tail. Every other change of
//! the length is an *edit*: another root is made beside, which says which values are the list's from then on, and one exchange of the
//! first empty place ends the old root in it. From then on nothing can be pushed there, and whoever comes by makes the new
//! root the list's. No value ever moves to another place.
//!
//! A value that is there is changed where it stands, but only while its root is the list's ([`writer`]).
//!
//! # Consistency
//! Linearizable: [`push`], [`set`], [`splice`], [`length`], [`get`], and each value of [`values`]. [`put`] of many is a push for each.
//! Pushes of one agent stay in their order. Reads store nothing, walk, copy, and see afterwards that the list has the same root.
//! Lock-free: a read that begins anew means that the list was edited.
//!
//! # If the caller dies here
//! A change has happened or not ([`settle`]). Whoever comes by goes on with an edit that ended a root. An agent that died at
//! work holds back of the list what was there then, and nothing that comes later, until it is recovered. So does one that is only stopped,
//! until it goes on ([`reclaim`]).
//!
//! # Cost
//! A push or a change of a value: a search of a few steps, whatever the length. An edit copies the table: 16 bytes for each chunk
//! of 1,024 values, and for each place where values were put in or taken out, of which there are never more than values.
//! Lists that were edited keep chunks of which one value is left: at most 8 KiB.
//!
//! When memory is exhausted an edit may be refused, [`splice`] of what is to go, too: to change values for such as need no block takes
//! no memory.
//!
//! # Not promised
//! Comparing block words is as in [`crate::cell`]. Nothing here blocks.

mod audit;
mod edit;
#[cfg(shuttle)]
pub mod parts;
mod reclaim;
mod root;
mod settle;
mod values;
mod words;
mod writer;

use coheap_alloc::{Operation, Result};

use crate::claim::{self, claim};
use crate::nested;
use crate::object::{Handle, Info, Table, Type};
use crate::string::Given;

pub use edit::MOST;
pub use values::{Batch, Removed, values};

pub(crate) use audit::visit;
pub(crate) use edit::{decide as decide_edit, settle as settle_edit};
pub(crate) use reclaim::{hanger, take_apart, take_previous};
pub(crate) use root::word_of;
pub(crate) use settle::settle_setting;
pub(crate) use words::ROOT_RECLAIMER as RECLAIMER;

use words::HEAD_SIZE;
use writer::Writer;

/// Makes an anonymous list. It lives until its last reference is given back; this agent has one.
///
/// # Errors
/// [`coheap_alloc::Error::OutOfMemory`].
pub fn create(operation: &Operation) -> Result<Handle> {
    make(operation, None)
}

pub(crate) fn make(operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::List)?;
    match writer::allocate(operation, HEAD_SIZE) {
        Ok(head) => claim::publish(operation, claim, head.to_word(), Info::new(0, bucket), Some(head)),
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

/// How many values there are. Loads only.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
pub fn length(table: Table, handle: Handle) -> Result<u64> {
    Ok(values(table, handle, f64::INFINITY, 0, 0, 0)?.next)
}

/// The number of a value that is one, counted from the end if `index` is below 0; a NaN stands for every other value, and for none:
/// [`values`] tells. Loads only.
///
/// # Errors
/// As [`length`].
pub fn get(table: Table, handle: Handle, index: f64) -> Result<f64> {
    Ok(f64::from_bits(values(table, handle, index, 1, 0, 0)?.word))
}

/// Puts a value behind all others, and answers how many there are then.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::OutOfMemory`], those of
/// [`crate::string::make`]: the list is as it was.
pub fn push(operation: &Operation, handle: Handle, given: Given<'_>) -> Result<u64> {
    put(operation, handle, None, 1, |_| Ok(given))
}

/// Gives a value that is there another one.
///
/// # Errors
/// As [`push`]; [`coheap_alloc::Error::OutOfRange`] when there are not so many.
pub fn set(operation: &Operation, handle: Handle, index: u64, given: Given<'_>) -> Result<()> {
    put(operation, handle, Some(index), 1, |_| Ok(given)).map(drop)
}

/// [`set`]s a value, or pushes `count` of them, one after the other, and answers how many there are after the last.
///
/// # Errors
/// As [`push`] and [`set`], and what `source` answers; those before are pushed.
pub fn put<'a>(
    operation: &Operation,
    handle: Handle,
    place: Option<u64>,
    count: u32,
    mut source: impl FnMut(u32) -> Result<Given<'a>>,
) -> Result<u64> {
    let writer = Writer::enter(operation, handle)?;
    let done = each(&writer, place.map_or(Put::Behind, Put::At), count, &mut source);
    writer.leave().and(done)
}

/// Where values go.
#[derive(Clone, Copy)]
enum Put {
    Behind,
    At(u64),
    /// Into the chunk of the root that is being made.
    Inside,
}

#[inline(never)]
fn each<'a>(
    writer: &Writer<'_>,
    to: Put,
    count: u32,
    source: &mut impl FnMut(u32) -> Result<Given<'a>>,
) -> Result<u64> {
    let mut done = 0;
    for number in 0..count {
        let made = nested::make(writer.operation, source(number)?)?;
        let put = match to {
            Put::Behind => writer.push(made),
            Put::At(index) => writer.set(index, made).map(|()| 0),
            Put::Inside => writer.fill(number, made).map(|()| 0),
        };
        if put.is_err() {
            return writer.discard(made).and(put);
        }
        done = put?;
    }
    Ok(done)
}

/// Takes out up to `delete` values from `start` on (counted from the end if it is below 0) and puts `count` others in their place, at
/// most [`MOST`], as one step. Answers where that was, and how many were taken out: of those that are copied
/// ([`Removed::To`]) only as many as have room.
///
/// # Errors
/// As [`push`], and what `source` answers. When a long value that is to be copied becomes longer at the same time, and there is
/// no memory for it, [`coheap_alloc::Error::OutOfMemory`] although it was taken out.
pub fn splice<'a>(
    operation: &Operation,
    handle: Handle,
    (start, delete): (f64, u32),
    count: u32,
    mut source: impl FnMut(u32) -> Result<Given<'a>>,
    removed: &mut Removed,
) -> Result<(u32, u32)> {
    let writer = Writer::enter(operation, handle)?;
    let count = count.min(MOST);
    let filled = if count == 0 { Ok(()) } else { writer.begin_fill(count) };
    let filled = filled.and_then(|()| each(&writer, Put::Inside, count, &mut source));
    let done = filled.and_then(|_| writer.edit(start, delete, removed, false));
    let done = writer.end_edit(done);
    writer.leave().and(done)
}
