//! Reading many values at once, and what an edit took out, as the records of [`crate::map::entries`].

use core::ops::Range;

use coheap_alloc::{Address, Operation, Result};

use super::edit::MOST;
use super::root::{Root, corrupt, is_value, look};
use super::{Batch, read};
use crate::object::{Handle, Table, Type};
use crate::{bytes, cell, count, holdings, map, value};

/// Copies up to `limit` values from `from` on (counted from the end if it is below 0) to `room` bytes at `to` (a multiple of 8)
/// that only this agent uses; each was there at a time when the others were, as the list's value of that number. None and
/// nothing needed: there are no more. Stores nothing else.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
pub fn values(table: Table, handle: Handle, from: f64, limit: u32, to: Address, room: u32) -> Result<Batch> {
    let mut done = Batch { next: 0, count: 0, needed: 0 };
    read(table, handle, &mut |root| {
        done = Batch { next: 0, count: 0, needed: 0 };
        let (mut index, mut place) = root.place_at(from)?;
        let mut used = 0;
        while done.count < limit
            && let Some(at) = place
            && let Some(size) = write(table, at, to.wrapping_add(used), room - used)?
        {
            if size > room - used {
                if done.count == 0 {
                    done.needed = size;
                }
                break;
            }
            used += size;
            index += 1;
            done.count += 1;
            place = root.place(index)?;
        }
        done.next = u64::from(index);
        Ok(())
    })?;
    Ok(done)
}

/// Writes the record of the value at a place if it has room, and answers how much it needs; `None`: there is no value.
#[inline(never)]
fn write(table: Table, at: Address, to: Address, room: u32) -> Result<Option<u32>> {
    let mut found = None;
    look(table, at, &mut |word, stored| {
        found = None;
        if stored.is_none() && !is_value(word) {
            return Ok(());
        }
        if stored.is_none() && !cell::is_known(table, word) {
            return corrupt(at);
        }
        let size = map::size_of(stored);
        if size <= room {
            map::record(table.memory, word, stored, to);
        }
        found = Some(size);
        Ok(())
    })?;
    Ok(found)
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
            let (mut size, mut is_reference) = (0, false);
            look(table, at, &mut |word, stored| {
                (size, is_reference) = (map::size_of(stored), value::is_reference(word));
                Ok(())
            })?;
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
            let size = write(table, at, to.wrapping_add(used), *room - used)?.unwrap_or(0);
            if size > *room - used {
                // It may have become longer since it was measured.
                let (copy, length) = reserve(operation, region, size)?;
                write(table, at, copy, length)?;
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
