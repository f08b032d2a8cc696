//! Beginning to work in a list and nothing else, for models in which an agent stays at work. Not in what ships.

use coheap_alloc::{Block, Operation, Result};

use super::writer::Writer;
use crate::object::Handle;

/// Begins to work in a list of some values, and answers what it may meet: the root and the chunk of the first of them. [`end`] ends it.
///
/// # Errors
/// As [`super::push`].
pub fn begin(operation: &Operation, handle: Handle) -> Result<[Option<Block>; 2]> {
    let writer = Writer::enter(operation, handle)?;
    let root = writer.root()?;
    Ok([root.word, root.segment(0, root.end()?.length).chunk].map(Block::from_word))
}

/// Ends what [`begin`] began.
///
/// # Errors
/// As [`super::push`].
pub fn end(operation: &Operation, handle: Handle) -> Result<()> {
    let table = crate::object::Table::of(operation);
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    Writer::again(operation, handle, entry)?.leave()
}
