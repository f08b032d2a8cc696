//! A byte region: a fixed number of bytes in one block, zero at first.
//!
//! # Consistency
//! A read is a copy, or a sum in place, and never sees bytes of anything else: the entry is looked at again after it,
//! and what was read of a region that was released meanwhile is an error. Bytes are not a unit: a read that races with
//! a write of the same range sees some of both. Two writes of the same range leave some of both.
//!
//! # If the caller dies here
//! In [`create`]: nobody sees the region, recovery frees block and entry. In [`write`]: any part of the range may be
//! written; the region stays, and if it was released meanwhile, it is freed when the dead agent is reaped.
//!
//! Nothing here blocks; every call is linear in the length it is given, so give pieces.

use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Block, Error, Kind, Operation, Result};

use crate::block;
use crate::claim::{self, claim};
use crate::object::{Handle, INFO, Info, Table, Type, VALUE};
use crate::{hold, rule};

/// How many bytes are summed between two looks at the entry.
pub const SLICE: u32 = PAGE;

/// Makes an anonymous region of `length` zero bytes. It lives until its last reference is given back;
/// this agent has one.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::InvalidLayout`].
pub fn create(operation: &Operation, length: u32) -> Result<Handle> {
    make(operation, length, None)
}

pub(crate) fn make(operation: &Operation, length: u32, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Bytes)?;
    let info = Info::new(length, bucket);
    if length == 0 {
        return claim::publish(operation, claim, 0, info, None);
    }
    match block::allocate(operation, length, Kind::Bytes) {
        Ok(block) => {
            clear(operation, block.address, length);
            claim::publish(operation, claim, block.to_word(), info, Some(block))
        }
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

fn clear(operation: &Operation, at: Address, length: u32) {
    let mut done = 0u32;
    while done < length {
        let piece = (length - done).min(PAGE);
        operation.memory().fill(at.wrapping_add(done), piece, 0);
        done = done.saturating_add(piece);
    }
}

/// A range of a region, checked against its length and the memory.
struct Range {
    entry: Address,
    at: Address,
    /// Bytes of the region.
    limit: u32,
    block: Option<Block>,
}

/// Where the bytes of a range are. The entry is read once; what follows a read looks at it again.
fn range(table: Table, entry: Address, handle: Handle, offset: u64, length: u64) -> Result<Range> {
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
    table.check(entry, handle, Type::Bytes)?;
    let limit = u64::from(info.length());
    if offset.checked_add(length).is_none_or(|end| end > limit) {
        return Err(Error::out_of_range(offset, length, limit));
    }
    let block = Block::from_word(word);
    let base = block.map_or(0, |block| block.address);
    // The heap's bytes are untrusted: a region that says it lies elsewhere is not followed there.
    let end = u64::from(base).wrapping_add(limit);
    if (base == 0 && limit != 0) || !table.memory.reaches(end) {
        return Err(Error::corrupt(rule::BYTES_BLOCK, entry));
    }
    Ok(Range { entry, at: base.wrapping_add(offset as u32), limit: info.length(), block })
}

/// How many bytes the region has. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn length(table: Table, handle: Handle) -> Result<u32> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
    table.check(entry, handle, Type::Bytes)?;
    Ok(info.length())
}

/// Copies bytes from `offset` into `into`.
///
/// # Errors
/// [`Error::StaleHandle`], also when the region is released meanwhile (`into` is undefined then);
/// [`Error::WrongType`], [`Error::OutOfRange`].
pub fn read(table: Table, handle: Handle, offset: u64, into: &mut [u8]) -> Result<()> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let range = range(table, entry, handle, offset, into.len() as u64)?;
    table.memory.copy_out(range.at, into);
    validate(table, range.entry, handle)
}

/// What was read since the range was made is the region's.
#[inline(never)]
fn validate(table: Table, entry: Address, handle: Handle) -> Result<()> {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::READ_WITHOUT_CHECK) {
        return Ok(());
    }
    table.check(entry, handle, Type::Bytes)
}

/// As [`read`], into memory that only this agent uses: its transfer buffer.
///
/// # Errors
/// As [`read`].
pub fn read_to(table: Table, handle: Handle, offset: u64, to: Address, length: u32) -> Result<()> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let range = range(table, entry, handle, offset, u64::from(length))?;
    table.memory.copy_within(range.at, to, length);
    // The copy's loads are not ordered with the look that follows them.
    table.memory.fence();
    validate(table, range.entry, handle)
}

/// Where the region's bytes are, and how many, for who writes there: they lie in memory, in pages of the heap's. They are the region's as long as nobody
/// releases it.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn all(table: Table, handle: Handle) -> Result<(Address, u32)> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let range = range(table, entry, handle, 0, 0)?;
    check_own(table, range.at, range.limit).map(|()| (range.at, range.limit))
}

/// Refuses bytes of which the first or the last is in no page of the heap's, for who writes there.
#[inline(never)]
fn check_own(table: Table, at: Address, length: u32) -> Result<()> {
    let Some(more) = length.checked_sub(1) else { return Ok(()) };
    table.check_own(at & !7).and_then(|()| table.check_own(at.wrapping_add(more) & !7))
}

/// Copies `from` to the bytes at `offset`. The region's block stays until the write is done, whoever releases it.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfRange`]: nothing was written.
pub fn write(operation: &Operation, handle: Handle, offset: u64, from: &[u8]) -> Result<()> {
    held(operation, handle, offset, from.len() as u64, |at| operation.memory().copy_in(at, from))
}

/// As [`write`], from memory that only this agent uses: its transfer buffer.
///
/// # Errors
/// As [`write`].
pub fn write_from(operation: &Operation, handle: Handle, offset: u64, from: Address, length: u32) -> Result<()> {
    held(operation, handle, offset, u64::from(length), |at| operation.memory().copy_within(from, at, length))
}

fn held(operation: &Operation, handle: Handle, offset: u64, length: u64, write: impl FnOnce(Address)) -> Result<()> {
    let entry = hold::hold(operation, handle, Type::Bytes)?;
    let done = range(Table::of(operation), entry, handle, offset, length).and_then(|range| {
        // What is held does not change, so the block is this region's; it must reach as far as the region says.
        let size = range.block.map_or(0, |block| operation.size_of(block));
        if u64::from(size) < offset.saturating_add(length) {
            return Err(Error::corrupt(rule::BYTES_BLOCK, entry));
        }
        check_own(Table::of(operation), range.at, length as u32)?;
        write(range.at);
        Ok(())
    });
    hold::let_go(operation, handle)?;
    done
}

/// The sum of `length` bytes from `offset`, in place: eight bytes a load, no copy.
///
/// # Errors
/// As [`read`].
pub fn sum(table: Table, handle: Handle, offset: u64, length: u64) -> Result<u64> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let range = range(table, entry, handle, offset, length)?;
    let mut total = 0u64;
    let mut at = range.at;
    // A region has less than 2³² bytes: at most 65,536 slices.
    let mut left = length as u32;
    while left > 0 {
        let piece = left.min(SLICE);
        total = total.wrapping_add(sum_piece(table, at, piece));
        validate(table, range.entry, handle)?;
        at = at.wrapping_add(piece);
        left = left.saturating_sub(piece);
    }
    Ok(total)
}

const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
const PAIRS: u64 = 0x0000_FFFF_0000_FFFF;

/// The sum of at most [`SLICE`] bytes.
fn sum_piece(table: Table, at: Address, length: u32) -> u64 {
    let mut total = 0u64;
    let mut at = at;
    let mut left = length;
    while left > 0 {
        // The block begins at a multiple of 16, so the aligned word around any byte of it lies in it or its padding.
        let skip = at & 7;
        let count = (8 - skip).min(left);
        let mut word = table.memory.load64(at & !7) >> (skip * 8);
        if count < 8 {
            word &= (1 << (count * 8)) - 1;
        }
        let pairs = (word & EVEN) + (word >> 8 & EVEN);
        let quads = (pairs & PAIRS) + (pairs >> 16 & PAIRS);
        total = total.wrapping_add((quads & 0xFFFF_FFFF) + (quads >> 32));
        at = at.wrapping_add(count);
        left = left.saturating_sub(count);
    }
    total
}
