//! Additions of a transaction, by words.

use coheap::map::{Additions, Key};
use coheap::string::Given;
use coheap::{Table, map};
use coheap_alloc::{Operation, Result};

/// So much for each of these words.
pub struct Words<'a> {
    pub table: Table,
    pub words: &'a [(&'a [u8], f64)],
}

impl Additions for Words<'_> {
    fn count(&self) -> u32 {
        self.words.len() as u32
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        let (word, delta) = self.words[position as usize];
        let key = Key::given(self.table, Given::text(word)).expect("a key");
        Ok((f(&key, delta)?, position + 1))
    }
}

/// Adds them, without a loan.
pub fn add_many(operation: &Operation, handle: coheap::Handle, words: &[(&[u8], f64)]) -> Result<()> {
    let words = Words { table: Table::of(operation), words };
    map::add_many(operation, handle, &words, None).map(drop)
}
