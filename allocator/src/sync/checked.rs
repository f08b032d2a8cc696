//! The memory under loom and shuttle: an image of its bytes, of which the raced words are the checker's own atomics.
//!
//! A checker's atomic is a name in its object store, not four bytes, so it cannot lie in a heap. And a heap has many
//! words that only one thread ever touches: as atomics they would cost schedules and show nothing. So a memory learns:
//! while it is shared, each access is noted by thread, and a word that one thread writes and another touches is *raced*.
//! An execution that meets a raced word it did not know makes the memory *stale*: the exploration begins again, with
//! that word an atomic of the checker. One that ends without a stale memory has modelled every word that can be raced.
//!
//! The order of use: build the heap; [`Memory::keep`]; then for each execution [`Memory::rewind`],
//! [`Memory::share`], the threads, [`Memory::settle`] and the checks.
#![allow(clippy::arithmetic_side_effects, reason = "a checker's test double, not the allocator")]
extern crate std;

use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use super::atomics::{AtomicU32, AtomicU64, Ordering};
use super::{Address, PAGE};

#[cfg(loom)]
use loom::thread::{ThreadId, current};
#[cfg(shuttle)]
use shuttle::thread::{ThreadId, current};

/// Who touched four bytes while the memory was shared: nobody, thread n + 1, or several that only read.
type Touch = u8;
const SEVERAL: Touch = 0x7F;
const WRITTEN: Touch = 0x80;

/// loom: what each load of a word stores to first.
///
/// loom reverses two accesses when the later one depends on the *last* access of the word. It forgets another thread's
/// load as soon as the thread that will write the word has loaded it itself, as every compare-exchange loop does. A
/// store that nobody reads keeps the loads of a word in order, and changes nothing that they may see.
type Reads = Arc<AtomicU32>;

struct Table {
    image: Vec<u64>,
    pages: u32,
    maximum: u32,
    /// What [`Memory::rewind`] restores: pages, and the words written since [`Memory::keep`] with their values before.
    kept_pages: Option<u32>,
    journal: Vec<(usize, u64)>,
    /// The raced words and their widths in bytes.
    raced: BTreeMap<Address, u32>,
    stale: bool,
    shared: bool,
    threads: Vec<ThreadId>,
    touches: Vec<Touch>,
    touched: Vec<u32>,
    words64: BTreeMap<Address, (Arc<AtomicU64>, Reads)>,
    words32: BTreeMap<Address, (Arc<AtomicU32>, Reads)>,
    /// shuttle: what every access of a raced word passes.
    schedule_point: Option<Arc<AtomicU32>>,
}

impl Table {
    fn write(&mut self, index: usize, value: u64) {
        if self.kept_pages.is_some() {
            self.journal.push((index, self.image[index]));
        }
        self.image[index] = value;
    }

    fn check_bounds(&self, at: Address, width: u32) {
        assert!(at.is_multiple_of(width), "unaligned word at {at:#x}");
        let size = u64::from(self.pages) * u64::from(PAGE);
        assert!(u64::from(at) + u64::from(width) <= size, "address {at:#x} is outside the memory");
    }

    /// Notes an access of the running thread; a word that turns out to be raced makes the memory stale.
    fn touch(&mut self, at: Address, width: u32, writes: bool) {
        if !self.shared {
            return;
        }
        let id = current().id();
        let thread = self.threads.iter().position(|&known| known == id).unwrap_or_else(|| {
            self.threads.push(id);
            self.threads.len() - 1
        });
        let me = thread as Touch + 1;
        for half in at / 4..(at + width) / 4 {
            let before = self.touches[half as usize];
            let alone = before == 0 || before & SEVERAL == me;
            if before == 0 {
                self.touched.push(half);
            }
            if !alone && (writes || before & WRITTEN != 0) {
                let known = self.raced.get(&at).copied();
                assert!(cfg!(shuttle) || known.is_none_or(|known| known == width), "{at:#x} is raced in two widths");
                if known.is_none_or(|known| known < width) {
                    self.raced.insert(at, width);
                    self.stale = true;
                }
            }
            let who = if alone { me } else { SEVERAL };
            self.touches[half as usize] = who | before & WRITTEN | if writes { WRITTEN } else { 0 };
        }
    }

    /// loom: whether these bytes lie in an atomic of its own.
    fn is_modelled(&self, at: Address, width: u32) -> bool {
        cfg!(loom) && self.shared && {
            let here = self.words32.range(at..at + width).next().is_some();
            here || self.words64.contains_key(&(at & !7))
        }
    }

    fn is_raced(&self, at: Address, width: u32) -> bool {
        let from = at & !7;
        let mut near = self.raced.range(from..from + 8);
        near.any(|(&raced, &bytes)| raced < at + width && at < raced + bytes)
    }
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
    /// A memory of `initial` pages that may grow to `maximum`. Never freed: a model has one for all its executions.
    #[must_use]
    pub fn map(initial: u32, maximum: u32) -> Option<Self> {
        let bytes = maximum as usize * PAGE as usize;
        let table = Table {
            image: std::vec![0; bytes / 8],
            pages: initial,
            maximum,
            kept_pages: None,
            journal: Vec::new(),
            raced: BTreeMap::new(),
            stale: false,
            shared: false,
            threads: Vec::new(),
            touches: std::vec![0; bytes / 4],
            touched: Vec::new(),
            words64: BTreeMap::new(),
            words32: BTreeMap::new(),
            schedule_point: None,
        };
        Some(Self(Box::leak(Box::new(Mutex::new(table)))))
    }

    fn with<R>(self, f: impl FnOnce(&mut Table) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is there now is what each execution begins with.
    pub fn keep(self) {
        self.with(|table| {
            table.kept_pages = Some(table.pages);
            table.journal.clear();
        });
    }

    /// Back to what was kept.
    pub fn rewind(self) {
        self.with(|table| {
            while let Some((index, value)) = table.journal.pop() {
                table.image[index] = value;
            }
            if let Some(pages) = table.kept_pages {
                table.pages = pages;
            }
            table.shared = false;
            table.stale = false;
            // Only an execution that failed leaves any.
            table.words64.clear();
            table.words32.clear();
        });
    }

    /// Begins the concurrent part of an execution: before the threads are spawned, in the execution's first thread.
    pub fn share(self) {
        self.with(|table| {
            while let Some(half) = table.touched.pop() {
                table.touches[half as usize] = 0;
            }
            table.threads.clear();
            table.shared = true;
            if cfg!(shuttle) {
                table.schedule_point = Some(Arc::new(AtomicU32::new(0)));
                return;
            }
            for (&at, &width) in &table.raced {
                let start = table.image[at as usize / 8];
                let reads = Arc::new(AtomicU32::new(0));
                if width == 8 {
                    table.words64.insert(at, (Arc::new(AtomicU64::new(start)), reads));
                } else {
                    let start = (start >> (at % 8 * 8)) as u32;
                    table.words32.insert(at, (Arc::new(AtomicU32::new(start)), reads));
                }
            }
        });
    }

    /// Ends it, when the other threads are joined: everything is the caller's. Answers whether the execution counts;
    /// when it does not, it met raced words that it had not modelled.
    pub fn settle(self) -> bool {
        self.with(|table| {
            table.shared = false;
            table.schedule_point = None;
            #[cfg(loom)]
            {
                for (at, (word, _)) in core::mem::take(&mut table.words64) {
                    // SAFETY: I-1 the other threads are joined.
                    let value = unsafe { word.unsync_load() };
                    table.write(at as usize / 8, value);
                }
                for (at, (word, _)) in core::mem::take(&mut table.words32) {
                    // SAFETY: I-1 the other threads are joined.
                    let value = u64::from(unsafe { word.unsync_load() });
                    let shift = at % 8 * 8;
                    let before = table.image[at as usize / 8];
                    table.write(at as usize / 8, before & !(0xFFFF_FFFF << shift) | value << shift);
                }
            }
            !table.stale
        })
    }

    /// The words that are modelled as raced.
    #[must_use]
    pub fn raced(self) -> Vec<Address> {
        self.with(|table| table.raced.keys().copied().collect())
    }

    /// The schedule point before an access that shuttle must be able to put anywhere.
    fn pass(self, is_raced: impl FnOnce(&Table) -> bool) {
        if cfg!(loom) {
            return;
        }
        let point = self.with(|table| if is_raced(table) { table.schedule_point.clone() } else { None });
        if let Some(point) = point {
            // shuttle knows sequential consistency alone: after the point the image is as good as its atomic.
            let _ = point.load(Ordering::SeqCst);
        }
    }

    pub(super) fn word64(self, at: Address) -> Word64 {
        self.pass(|table| table.is_raced(at, 8));
        self.with(|table| {
            table.check_bounds(at, 8);
            let atomic = table.words64.get(&at).cloned();
            assert!(table.is_modelled(at, 8) == atomic.is_some(), "{at:#x} is raced in two widths");
            Word64 { memory: self, at, atomic }
        })
    }

    pub(super) fn word32(self, at: Address) -> Word32 {
        self.pass(|table| table.is_raced(at, 4));
        self.with(|table| {
            table.check_bounds(at, 4);
            let atomic = table.words32.get(&at).cloned();
            assert!(table.is_modelled(at, 4) == atomic.is_some(), "{at:#x} is raced in two widths");
            Word32 { memory: self, at, atomic }
        })
    }

    /// Pages of the memory now.
    #[must_use]
    pub fn pages(self) -> u32 {
        self.pass(|table| table.pages < table.maximum);
        self.with(|table| table.pages)
    }

    /// Pages of the memory now: here [`Memory::pages`].
    #[must_use]
    pub fn pages_now(self) -> u32 {
        self.pages()
    }

    /// Grows by `pages`; answers the size before, in pages.
    #[must_use]
    pub fn grow(self, pages: u32) -> Option<u32> {
        self.pass(|_| true);
        self.with(|table| {
            let before = table.pages;
            let after = before.checked_add(pages).filter(|&after| after <= table.maximum)?;
            table.pages = after;
            Some(before)
        })
    }

    /// Copies payload out, eight bytes at a time; `at` is a multiple of 8.
    pub fn copy_out(self, at: Address, into: &mut [u8]) {
        for (part, word_at) in into.chunks_mut(8).zip((at..).step_by(8)) {
            let word = self.own64(word_at).to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    /// Copies payload in, eight bytes at a time; `at` is a multiple of 8, a last partial word is padded with zeros.
    pub fn copy_in(self, at: Address, from: &[u8]) {
        for (part, word_at) in from.chunks(8).zip((at..).step_by(8)) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.set_own64(word_at, u64::from_le_bytes(word));
        }
    }

    /// Copies inside the memory; all three are multiples of 8.
    pub fn copy_within(self, from: Address, to: Address, length: u32) {
        for offset in (0..length).step_by(8) {
            self.set_own64(to + offset, self.own64(from + offset));
        }
    }

    /// Fills bytes; `at` and `length` are multiples of 8.
    pub fn fill(self, at: Address, length: u32, byte: u8) {
        let word = u64::from_le_bytes([byte; 8]);
        let mut raced = Vec::new();
        self.with(|table| {
            table.check_bounds(at + length - 8, 8);
            for word_at in (at..at + length).step_by(8) {
                if table.is_raced(word_at, 8) {
                    raced.push((word_at, table.raced.contains_key(&word_at) && table.raced[&word_at] == 8));
                    continue;
                }
                table.touch(word_at, 8, true);
                if table.image[word_at as usize / 8] != word {
                    table.write(word_at as usize / 8, word);
                }
            }
        });
        for (word_at, whole) in raced {
            if whole {
                self.set_own64(word_at, word);
            } else {
                self.set_own32(word_at, word as u32);
                self.set_own32(word_at + 4, word as u32);
            }
        }
    }
}

macro_rules! word {
    ($name:ident, $type:ty, $width:literal, $atomic:ty) => {
        /// One word: the checker's while it is raced, of the image otherwise.
        pub(super) struct $name {
            memory: Memory,
            at: Address,
            atomic: Option<(Arc<$atomic>, Reads)>,
        }

        impl $name {
            /// The image's word before; `change` answers the one after, or `None` to leave it.
            fn image(&self, change: impl FnOnce($type) -> Option<$type>) -> $type {
                self.memory.with(|table| {
                    let (index, shift) = (self.at as usize / 8, self.at % 8 * 8);
                    let whole = table.image[index];
                    let before = (whole >> shift) as $type;
                    let after = change(before);
                    table.touch(self.at, $width, after.is_some());
                    if let Some(after) = after {
                        let mask = u64::from(<$type>::MAX) << shift;
                        table.write(index, whole & !mask | u64::from(after) << shift);
                    }
                    before
                })
            }
            pub(super) fn load(&self, order: Ordering) -> $type {
                let Some((word, reads)) = &self.atomic else { return self.image(|_| None) };
                reads.store(0, Ordering::Relaxed);
                word.load(order)
            }
            pub(super) fn store(&self, value: $type, order: Ordering) {
                match &self.atomic {
                    Some((word, _)) => word.store(value, order),
                    None => drop(self.image(|_| Some(value))),
                }
            }
            pub(super) fn swap(&self, value: $type, order: Ordering) -> $type {
                let word = self.atomic.as_ref();
                word.map_or_else(|| self.image(|_| Some(value)), |(word, _)| word.swap(value, order))
            }
            pub(super) fn compare_exchange(
                &self,
                old: $type,
                new: $type,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$type, $type> {
                if let Some((word, _)) = &self.atomic {
                    return word.compare_exchange(old, new, success, failure);
                }
                let found = self.image(|value| (value == old).then_some(new));
                if found == old { Ok(found) } else { Err(found) }
            }
            pub(super) fn fetch_or(&self, bits: $type, order: Ordering) -> $type {
                let word = self.atomic.as_ref();
                word.map_or_else(|| self.image(|value| Some(value | bits)), |(word, _)| word.fetch_or(bits, order))
            }
            pub(super) fn fetch_and(&self, bits: $type, order: Ordering) -> $type {
                let word = self.atomic.as_ref();
                word.map_or_else(|| self.image(|value| Some(value & bits)), |(word, _)| word.fetch_and(bits, order))
            }
            pub(super) fn fetch_add(&self, more: $type, order: Ordering) -> $type {
                let word = self.atomic.as_ref();
                word.map_or_else(
                    || self.image(|value| Some(value.wrapping_add(more))),
                    |(word, _)| word.fetch_add(more, order),
                )
            }
        }
    };
}

word!(Word64, u64, 8, AtomicU64);
word!(Word32, u32, 4, AtomicU32);
