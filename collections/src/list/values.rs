//! Reading many values at once, and what an edit took out, as the records of [`crate::map::entries`].

use core::ops::Range;

use coheap_alloc::{Address, Operation, Result};

use super::edit::MOST;
use super::root::{Root, check, corrupt, is_value, look};
use super::words::{HEAD_SIZE, LONGEST, ROOT};
use crate::object::{Handle, Table, Type, VALUE};
use crate::{bytes, count, holdings, value};

/// What was read of a list.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The place behind the last value that was written; of a read from an infinite place on, behind all values.
    pub next: u64,
    /// Values that were written.
    pub count: u32,
    /// Bytes that the next value needs if not even one had room, else 0.
    pub needed: u32,
    /// The word of the last value that was looked at.
    pub word: u64,
}

/// Copies up to `limit` values from `from` on (counted from the end if it is below 0) to `room` bytes at `to` (a multiple of 8)
/// that only this agent uses; each was there at a time when the others were, as the list's value of that number. None and
/// nothing needed: there are no more. Stores nothing else. Lock-free: another round means that the list was edited.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
#[inline(never)]
pub fn values(table: Table, handle: Handle, from: f64, limit: u32, to: Address, room: u32) -> Result<Batch> {
    let entry = table.entry_here(handle.index).ok_or_else(|| handle.stale())?;
    let memory = table.memory;
    loop {
        let head = memory.load64(entry.wrapping_add(VALUE)) as Address;
        let at = head.wrapping_add(ROOT);
        let lies = check(table, head, HEAD_SIZE);
        let word = if lies.is_ok() { memory.load64_ordered(at) } else { 0 };
        let found = lies.and_then(|()| read(table, word, from, limit, to, room));
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::READ_WITHOUT_ERA) {
            // Seeded bug: what was read may have been freed and used again.
            return found;
        }
        memory.fence();
        let same = word == 0 || memory.load64_ordered(at) == word;
        // It was this list's, if the entry is.
        table.check(entry, handle, Type::List)?;
        if same {
            return found;
        }
    }
}

fn read(table: Table, word: u64, from: f64, limit: u32, to: Address, room: u32) -> Result<Batch> {
    let mut none = Batch { next: 0, count: 0, needed: 0, word: value::EMPTY };
    if word == 0 {
        return Ok(none);
    }
    let root = Root::new(table, word)?;
    let mut from = from;
    if from < 0.0 || from == f64::INFINITY {
        let length = root.end()?.length;
        none.next = length.into();
        from += f64::from(length);
    }
    if !(0.0..f64::from(LONGEST)).contains(&from) {
        return Ok(none);
    }
    copy(&root, (from as u32, limit), to, room, For::Reading)
}

/// What values are copied for.
#[derive(Clone, Copy)]
enum For<'a> {
    Reading,
    /// To see how many can be taken out together: a structure alone.
    Measuring,
    /// They were taken out: this agent gets a reference to each structure.
    Taking(&'a Operation),
}

/// Copies values of a root from `index` on, as [`values`] does.
#[inline(never)]
fn copy(root: &Root, (index, limit): (u32, u32), to: Address, room: u32, why: For<'_>) -> Result<Batch> {
    let mut done = Batch { next: index.into(), count: 0, needed: 0, word: value::EMPTY };
    let mut used = 0;
    while done.count < limit
        && let Some(at) = root.place(index + done.count)?
    {
        let record = to.wrapping_add(used);
        let found = look(root.table, at, record, room - used)?;
        if !is_value(found.word) {
            break;
        }
        if !found.is_value {
            return corrupt(at);
        }
        let is_reference = value::is_reference(found.word);
        let is_alone = is_reference && matches!(why, For::Measuring);
        if is_alone && done.count > 0 {
            break;
        }
        done.word = found.word;
        if found.size > room - used {
            if done.count == 0 {
                done.needed = found.size;
            }
            break;
        }
        if is_reference && let For::Taking(operation) = why {
            // It lives: what the root that has ended has cannot go while this agent is at work.
            holdings::reserve(operation)?;
            let handle = Handle::from_word(root.table.memory.own64(record.wrapping_add(16)));
            count::acquire_kept(operation, handle)?;
        }
        used += found.size;
        done.count += 1;
        if is_alone {
            break;
        }
    }
    done.next += u64::from(done.count);
    Ok(done)
}

/// What becomes of the values that an edit takes out.
#[derive(Debug)]
pub enum Removed {
    /// They go.
    Ignored,
    /// Their records go to `room` bytes at `to`: as many are taken out as have room there, and [`MOST`] at most. A structure goes
    /// alone, and this agent has a reference to it then. One that is too long goes alone, too: then the records are in a region.
    To {
        /// A multiple of 8, in memory that only this agent uses.
        to: Address,
        /// Bytes that are free there.
        room: u32,
        /// The region, if there is one: the caller's to release.
        region: Option<Handle>,
    },
}

impl Removed {
    /// How many of the values of a range may be taken out together.
    pub(super) fn measure(&mut self, operation: &Operation, root: &Root, range: Range<u32>) -> Result<u32> {
        let length = range.len() as u32;
        let Self::To { to, room, region } = self else { return Ok(length) };
        let found = copy(root, (range.start, length.min(MOST)), *to, *room, For::Measuring)?;
        // Before the edit: without room for what comes out nothing is taken out.
        if found.needed > 0 {
            reserve(operation, region, found.needed)?;
        }
        holdings::reserve(operation)?;
        Ok(found.count.max(length.min(1)))
    }

    /// Copies the values of a range of a root that has ended.
    pub(super) fn take(&mut self, operation: &Operation, root: &Root, range: Range<u32>) -> Result<()> {
        let Self::To { to, room, region } = self else { return Ok(()) };
        let values = (range.start, range.len() as u32);
        if copy(root, values, *to, *room, For::Taking(operation))?.count == values.1 {
            // What was long when it was measured is not any more.
            return region.take().map_or(Ok(()), |made| release(operation, made));
        }
        let mut size = *room;
        // Ends: the region grows until all have room, which may have become longer since they were measured.
        loop {
            let (at, length) = reserve(operation, region, size)?;
            if copy(root, values, at, length, For::Taking(operation))?.count == values.1 {
                return Ok(());
            }
            size = length.saturating_mul(2);
        }
    }
}

#[inline(never)]
fn release(operation: &Operation, region: Handle) -> Result<()> {
    // Nobody waits for it.
    count::release(operation, region, Type::Bytes).map(drop)
}

/// A region of at least so many bytes.
fn reserve(operation: &Operation, region: &mut Option<Handle>, size: u32) -> Result<(Address, u32)> {
    let table = Table::of(operation);
    if let Some(made) = *region {
        let (at, length) = bytes::all(table, made)?;
        if length >= size {
            return Ok((at, length));
        }
        *region = None;
        release(operation, made)?;
    }
    let made = bytes::create(operation, size)?;
    *region = Some(made);
    bytes::all(table, made)
}
