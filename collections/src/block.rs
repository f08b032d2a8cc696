//! Taking blocks for what others read without a lock.

use coheap_alloc::{Block, Kind, Operation, Result};

use crate::claim;

/// As [`allocate_at`], at a multiple of 16.
#[inline]
pub(crate) fn allocate(operation: &Operation, size: u32, kind: Kind) -> Result<Block> {
    allocate_at(operation, size, 16, kind)
}

/// Takes a block that is private to the operation until it is published. What invalidated its last contents comes before
/// every byte that is written to it, for whoever is still reading those: hence the fence. When memory is short, finishes
/// the objects whose release was left to somebody first.
///
/// # Errors
/// [`coheap_alloc::Error::OutOfMemory`], [`coheap_alloc::Error::InvalidLayout`].
#[inline(never)]
pub(crate) fn allocate_at(operation: &Operation, size: u32, align: u32, kind: Kind) -> Result<Block> {
    let block = match operation.allocate(size, align, kind) {
        Ok(block) => block,
        Err(_) => {
            claim::finish_all(operation)?;
            operation.allocate(size, align, kind)?
        }
    };
    operation.memory().fence();
    Ok(block)
}

/// Frees a block, as [`Operation::free`]; out of line, because many do.
///
/// # Errors
/// [`coheap_alloc::Error::NotAllocated`].
#[inline(never)]
pub(crate) fn free(operation: &Operation, block: Block) -> Result<()> {
    operation.free(block)
}
