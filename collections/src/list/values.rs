//! Reading many values at once, and what an edit took out, as the records of [`crate::map::entries`].

use core::ops::Range;

use coheap_alloc::{Address, Operation, Result};

use super::edit::MOST;
use super::root::{Found, Root, check, corrupt, is_value, look};
use super::words::{HEAD_SIZE, LONGEST, ROOT};
use crate::object::{Handle, Table, Type, VALUE};
use crate::{bytes, count, holdings, map, value};

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
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let memory = table.memory;
    loop {
        let head = memory.load64(entry.wrapping_add(VALUE)) as Address;
        let at = head.wrapping_add(ROOT);
        let lies = check(table, head, HEAD_SIZE);
        let word = if lies.is_ok() { memory.load64_ordered(at) } else { 0 };
        let found = lies.and_then(|()| values_of(table, word, from, limit, to, room));
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

fn values_of(table: Table, word: u64, from: f64, limit: u32, to: Address, room: u32) -> Result<Batch> {
    let mut done = Batch { next: 0, count: 0, needed: 0, word: value::EMPTY };
    if word == 0 {
        return Ok(done);
    }
    let root = Root::new(table, word)?;
    let mut from = from;
    if from < 0.0 || from == f64::INFINITY {
        let length = root.end()?.length;
        done.next = length.into();
        from += f64::from(length);
    }
    if !(0.0..f64::from(LONGEST)).contains(&from) {
        return Ok(done);
    }
    let (mut index, mut used) = (from as u32, 0);
    while done.count < limit
        && let Some(at) = root.place(index)?
    {
        let found = look(table, at, to.wrapping_add(used), room - used)?;
        if !is_value(found.word) {
            break;
        }
        if !found.is_value {
            return corrupt(at);
        }
        done.word = found.word;
        if found.size > room - used {
            if done.count == 0 {
                done.needed = found.size;
            }
            break;
        }
        used += found.size;
        index += 1;
        done.count += 1;
    }
    done.next = index.into();
    Ok(done)
}

/// What becomes of the values that an edit takes out.
#[derive(Debug)]
pub enum Removed {
    /// They go.
    Ignored,
    /// Their records go to `room` bytes at `to`: as many are taken out as have room there, and [`MOST`] at most. One that is too
    /// long goes alone, and into a region; so does a structure, to which this agent has a reference then.
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
        let Self::To { room, region, .. } = self else { return Ok(range.len() as u32) };
        let (table, mut used) = (Table::of(operation), 0);
        for (number, index) in (0..MOST).zip(range.clone()) {
            let Some(at) = root.place(index)? else { return corrupt(root.at) };
            let Found { word, size, .. } = look(table, at, 0, 0)?;
            let is_reference = value::is_reference(word);
            let is_long = size > *room - used;
            if is_long && number == 0 {
                // Before the edit: without room for it nothing is taken out.
                reserve(operation, region, size)?;
            }
            if is_reference && number == 0 {
                holdings::reserve(operation)?;
            }
            if is_long || is_reference {
                return Ok(number.max(1));
            }
            used += size;
        }
        Ok(MOST.min(range.len() as u32))
    }

    /// Copies the values of a range of a root that has ended.
    pub(super) fn copy(&mut self, operation: &Operation, root: &Root, range: Range<u32>) -> Result<()> {
        let Self::To { to, room, region } = self else { return Ok(()) };
        let (table, mut used, mut is_used) = (Table::of(operation), 0, false);
        for index in range {
            let Some(at) = root.place(index)? else { return corrupt(root.at) };
            let size = look(table, at, to.wrapping_add(used), *room - used)?.size;
            if size > *room - used {
                // It may have become longer since it was measured.
                let (copy, length) = reserve(operation, region, size)?;
                look(table, at, copy, length)?;
                is_used = true;
                break;
            }
            let record = to.wrapping_add(used);
            if operation.memory().own64(record) == map::REFERENCE_RECORD {
                // It lives: what the root that has ended has cannot go while this agent is at work.
                let handle = Handle::from_word(operation.memory().own64(record.wrapping_add(16)));
                holdings::reserve(operation)?;
                count::acquire_kept(operation, handle)?;
            }
            used += size;
        }
        if !is_used && let Some(region) = region.take() {
            let _ = count::release(operation, region, Type::Bytes)?;
        }
        Ok(())
    }
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
        // Nobody waits for it.
        let _ = count::release(operation, made, Type::Bytes)?;
    }
    let made = bytes::create(operation, size)?;
    *region = Some(made);
    bytes::all(table, made)
}
