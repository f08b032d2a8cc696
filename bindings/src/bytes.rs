//! Byte regions. Pieces cross in the agent's transfer buffer.

use coheap::wait::Wake;
use coheap::{Handle, bytes};
use coheap_alloc::layout::body;
use coheap_alloc::{Error, Result};

use crate::call::{Status, change, detail, read, whole};

/// The range of a piece that fits the transfer buffer.
fn piece(offset: f64, length: u32) -> Result<u64> {
    let limit = u64::from(body::TRANSFER_LENGTH);
    match whole(offset) {
        Some(offset) if length <= body::TRANSFER_LENGTH => Ok(offset),
        _ => Err(Error::out_of_range(offset as u64, u64::from(length), limit)),
    }
}

/// Detail 0: the number of bytes. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_bytes_length(index: u32, generation: u32) -> Status {
    read(|agent, table| {
        let length = bytes::length(table, Handle { index, generation })?;
        detail(agent, 0, f64::from(length));
        Ok(())
    })
}

/// Copies `length` bytes from `offset` into the transfer buffer. Errors: `STALE_HANDLE`, also when the region is
/// released meanwhile, `WRONG_TYPE`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_bytes_read(index: u32, generation: u32, offset: f64, length: u32) -> Status {
    read(|agent, table| {
        let offset = piece(offset, length)?;
        bytes::read_to(table, Handle { index, generation }, offset, agent.transfer(), length)
    })
}

/// Copies `length` bytes from the transfer buffer to `offset`. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_bytes_write(index: u32, generation: u32, offset: f64, length: u32) -> Status {
    change(|agent, operation| {
        let offset = piece(offset, length)?;
        bytes::write_from(operation, Handle { index, generation }, offset, agent.transfer(), length)?;
        Ok(Wake::NONE)
    })
}

/// Detail 0: the sum of `length` bytes from `offset`, in place. Linear: give pieces. Errors: as `coheap_bytes_read`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_bytes_sum(index: u32, generation: u32, offset: f64, length: f64) -> Status {
    read(|agent, table| {
        let (Some(from), Some(count)) = (whole(offset), whole(length)) else {
            return Err(Error::out_of_range(offset as u64, length as u64, u64::from(u32::MAX)));
        };
        let sum = bytes::sum(table, Handle { index, generation }, from, count)?;
        detail(agent, 0, sum as f64);
        Ok(())
    })
}
