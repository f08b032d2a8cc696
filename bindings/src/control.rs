//! Exports of the test build: seeded bugs, and blocks without an object.

use coheap::wait::Wake;
use coheap_alloc::{Block, Error, Kind};

use crate::call::{Status, change, detail, whole};

/// Turns on the seeded bug with this number, in every agent; 0: none.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_control(number: u32) {
    coheap_alloc::controls::set(number);
    coheap::controls::set(number);
}

/// Takes a block that belongs to a program, not to an object. Detail 0: its address, detail 1: its generation.
/// Errors: `OUT_OF_MEMORY`, `INVALID_LAYOUT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_allocate(size: f64, align: u32) -> Status {
    change(|agent, operation| {
        let Some(bytes) = whole(size).and_then(|size| u32::try_from(size).ok()) else {
            return Err(Error::invalid_layout(size as u64, u64::from(align)));
        };
        let block = operation.allocate(bytes, align, Kind::Rust)?;
        operation.publish(block)?;
        detail(agent, 0, f64::from(block.address));
        detail(agent, 1, f64::from(block.generation));
        Ok(Wake::NONE)
    })
}

/// Frees a block. Error: `NOT_ALLOCATED`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_free(address: u32, generation: u32) -> Status {
    change(|_, operation| {
        operation.free(Block { address, generation })?;
        Ok(Wake::NONE)
    })
}
