//! Exports of the test build: seeded bugs, blocks without an object, and what was freed.

use coheap::wait::Wake;
use coheap_alloc::{Block, Error, Kind};

use crate::call::{DONE, Status, change, detail, whole};
use crate::seat::agent;

/// Turns on the seeded bug with this number, in every agent; 0: none.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_control(number: u32) {
    coheap_alloc::controls::set(number);
    coheap::controls::set(number);
}

/// The first freed block or page at `from` or behind it, where nothing that was freed is used again. Detail 0: its address, detail 1: its size,
/// 0 if there is none, detail 2: as [`coheap_hash`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_freed(from: u32) -> Status {
    let (at, size) = agent().first_freed(from).unwrap_or((0, 0));
    detail(agent(), 0, f64::from(at));
    detail(agent(), 1, f64::from(size));
    detail(agent(), 2, f64::from(agent().hash(at, size)));
    DONE
}

/// Detail 0: a hash of these bytes.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_hash(at: u32, size: u32) -> Status {
    detail(agent(), 0, f64::from(agent().hash(at, size)));
    DONE
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
