//! The memory under loom and shuttle: a table that gives each (address, width) one of the checker's own atomics.
//!
//! A checker's atomic is a name in its object store, not four bytes, so it cannot lie in a heap. Words are written
//! to a plain image until [`Memory::share`]; from then on a word becomes an atomic, with its image's value, when it is
//! first touched. So only the words of the protocol under test cost the checker anything.
extern crate std;

use std::boxed::Box;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::atomics::{AtomicU32, AtomicU64, Ordering::Relaxed};
use super::{Address, PAGE};

#[derive(Default)]
struct Table {
    words64: HashMap<Address, Arc<AtomicU64>>,
    words32: HashMap<Address, Arc<AtomicU32>>,
    image: HashMap<Address, u64>,
    shared: bool,
    pages: u32,
    maximum: u32,
}

/// A handle to one table. Copies name the same words.
#[derive(Clone, Copy)]
pub struct Memory(&'static Mutex<Table>);

impl core::fmt::Debug for Memory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Memory(checked)")
    }
}

impl Memory {
    /// A memory of `initial` pages that may grow to `maximum`. Leaked: a model is short.
    #[must_use]
    pub fn map(initial: u32, maximum: u32) -> Option<Self> {
        let table = Table { pages: initial, maximum, ..Table::default() };
        Some(Self(Box::leak(Box::new(Mutex::new(table)))))
    }

    /// Ends the private building phase: from here each access is one of the checker's.
    pub fn share(self) {
        self.with(|table| table.shared = true);
    }

    fn with<R>(self, f: impl FnOnce(&mut Table) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn word64(self, at: Address) -> Word64 {
        assert!(at & 7 == 0, "unaligned word at {at:#x}");
        self.with(|table| {
            if !table.shared {
                return Word64::Image(self, at);
            }
            let start = table.image.get(&at).copied().unwrap_or(0);
            Word64::Atomic(table.words64.entry(at).or_insert_with(|| Arc::new(AtomicU64::new(start))).clone())
        })
    }

    pub(super) fn word32(self, at: Address) -> Word32 {
        assert!(at & 3 == 0, "unaligned word at {at:#x}");
        self.with(|table| {
            if !table.shared {
                return Word32::Image(self, at);
            }
            let start = table.image.get(&at).copied().unwrap_or(0) as u32;
            Word32::Atomic(table.words32.entry(at).or_insert_with(|| Arc::new(AtomicU32::new(start))).clone())
        })
    }

    /// Pages of the memory now.
    #[must_use]
    pub fn pages(self) -> u32 {
        self.with(|table| table.pages)
    }

    /// Grows by `pages`; answers the size before, in pages.
    #[must_use]
    pub fn grow(self, pages: u32) -> Option<u32> {
        self.with(|table| {
            let before = table.pages;
            let after = before.checked_add(pages).filter(|&after| after <= table.maximum)?;
            table.pages = after;
            Some(before)
        })
    }

    /// Copies payload out, eight bytes at a time; `at` is a multiple of 8.
    pub fn copy_out(self, at: Address, into: &mut [u8]) {
        for (index, part) in into.chunks_mut(8).enumerate() {
            let word = self.word64(at.wrapping_add(index as u32 * 8)).load(Relaxed).to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    /// Copies payload in, eight bytes at a time; `at` is a multiple of 8, a last partial word is padded with zeros.
    pub fn copy_in(self, at: Address, from: &[u8]) {
        for (index, part) in from.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word64(at.wrapping_add(index as u32 * 8)).store(u64::from_le_bytes(word), Relaxed);
        }
    }

    /// Copies inside the memory; all three are multiples of 8.
    pub fn copy_within(self, from: Address, to: Address, length: u32) {
        for offset in (0..length).step_by(8) {
            let word = self.word64(from.wrapping_add(offset)).load(Relaxed);
            self.word64(to.wrapping_add(offset)).store(word, Relaxed);
        }
    }

    /// Fills bytes; a page at most counts as untouched when it is zeroed before anybody used it.
    pub fn fill(self, at: Address, length: u32, byte: u8) {
        assert!(length <= PAGE);
        let word = u64::from_le_bytes([byte; 8]);
        let touched = self.with(|table| {
            let end = at.wrapping_add(length);
            table.image.retain(|&word_at, _| !(at..end).contains(&word_at));
            let mut words: std::vec::Vec<_> = table.words64.keys().copied().filter(|k| (at..end).contains(k)).collect();
            words.sort_unstable();
            words
        });
        if byte == 0 {
            for word_at in touched {
                self.word64(word_at).store(0, Relaxed);
            }
        } else {
            for offset in (0..length).step_by(8) {
                self.word64(at.wrapping_add(offset)).store(word, Relaxed);
            }
        }
    }
}

macro_rules! word {
    ($name:ident, $type:ty, $atomic:ty) => {
        /// One word: of the image while the heap is built, of the checker afterwards.
        pub(super) enum $name {
            Image(Memory, Address),
            Atomic(Arc<$atomic>),
        }

        impl $name {
            fn image(memory: &Memory, at: Address, change: impl FnOnce($type) -> $type) -> $type {
                memory.with(|table| {
                    let word = table.image.entry(at).or_insert(0);
                    let before = *word as $type;
                    *word = u64::from(change(before));
                    before
                })
            }
            pub(super) fn load(&self, order: super::atomics::Ordering) -> $type {
                match self {
                    Self::Image(memory, at) => Self::image(memory, *at, |value| value),
                    Self::Atomic(word) => word.load(order),
                }
            }
            pub(super) fn store(&self, value: $type, order: super::atomics::Ordering) {
                match self {
                    Self::Image(memory, at) => drop(Self::image(memory, *at, |_| value)),
                    Self::Atomic(word) => word.store(value, order),
                }
            }
            pub(super) fn swap(&self, value: $type, order: super::atomics::Ordering) -> $type {
                match self {
                    Self::Image(memory, at) => Self::image(memory, *at, |_| value),
                    Self::Atomic(word) => word.swap(value, order),
                }
            }
            pub(super) fn compare_exchange(
                &self,
                old: $type,
                new: $type,
                success: super::atomics::Ordering,
                failure: super::atomics::Ordering,
            ) -> Result<$type, $type> {
                match self {
                    Self::Image(memory, at) => {
                        let found = Self::image(memory, *at, |value| if value == old { new } else { value });
                        if found == old { Ok(found) } else { Err(found) }
                    }
                    Self::Atomic(word) => word.compare_exchange(old, new, success, failure),
                }
            }
            pub(super) fn fetch_or(&self, bits: $type, order: super::atomics::Ordering) -> $type {
                match self {
                    Self::Image(memory, at) => Self::image(memory, *at, |value| value | bits),
                    Self::Atomic(word) => word.fetch_or(bits, order),
                }
            }
            pub(super) fn fetch_and(&self, bits: $type, order: super::atomics::Ordering) -> $type {
                match self {
                    Self::Image(memory, at) => Self::image(memory, *at, |value| value & bits),
                    Self::Atomic(word) => word.fetch_and(bits, order),
                }
            }
            pub(super) fn fetch_add(&self, more: $type, order: super::atomics::Ordering) -> $type {
                match self {
                    Self::Image(memory, at) => Self::image(memory, *at, |value| value.wrapping_add(more)),
                    Self::Atomic(word) => word.fetch_add(more, order),
                }
            }
        }
    };
}

word!(Word64, u64, AtomicU64);
word!(Word32, u32, AtomicU32);
