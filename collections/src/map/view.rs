//! Looking into a map: loads only, each address checked before it is followed.

use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Error, Memory, Result};

use super::key::Key;
use super::words::*;
use crate::cell::look_at;
use crate::object::Table;
use crate::{rule, value};

/// Steps between two looks at whether a walk makes sense.
const STEPS: u64 = 64;

/// A map's head, as far as it can be trusted: it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) table: Table,
    pub(super) head: Address,
    /// Where the last entry can lie.
    last: Address,
    /// A reader's: where the era is in which it began, or 0.
    watched: Address,
    era: u64,
}

#[cold]
pub(super) fn corrupt<R>(address: Address) -> Result<R> {
    Err(Error::corrupt(rule::MAP, address))
}

impl View {
    /// Of the head that a value word of the object table names.
    #[inline(never)]
    pub(super) fn new(table: Table, word: u64) -> Result<Self> {
        Self::new_here(table, word)
    }

    /// As [`View::new`], in line: for searches.
    #[inline(always)]
    pub(super) fn new_here(table: Table, word: u64) -> Result<Self> {
        let head = word as Address;
        if head < PAGE || !head.is_multiple_of(HEAD_SIZE) || !table.memory.has_here(head, HEAD_SIZE) {
            return corrupt(head);
        }
        Ok(Self::at(table, head))
    }

    /// As [`View::new`], for who writes: the head is in a page of the heap's.
    #[inline(never)]
    pub(super) fn own(table: Table, word: u64) -> Result<Self> {
        let head = word as Address;
        if !head.is_multiple_of(HEAD_SIZE) {
            return corrupt(head);
        }
        table.check_own(head).map(|()| Self::at(table, head))
    }

    #[inline(always)]
    fn at(table: Table, head: Address) -> Self {
        // As it was, perhaps: what lies behind is looked at again.
        let end = u64::from(table.memory.pages()) * u64::from(PAGE);
        Self { table, head, last: (end - u64::from(ENTRY)) as Address, watched: 0, era: 0 }
    }

    /// For a reader, to whom what it found is nothing once this is not the era any more.
    #[inline]
    pub(super) fn watching(self, watched: Address, era: u64) -> Self {
        Self { watched, era, ..self }
    }

    /// The entry or the bucket that a link leads to lies in memory.
    #[inline]
    pub(super) fn check_next(&self, link: Link) -> Result<()> {
        let at = link.next();
        if at < PAGE || at > self.last {
            self.check_again(at, if link.leads_to_bucket() { 8 } else { ENTRY })
        } else {
            Ok(())
        }
    }

    /// Where the block of a word starts, whose `size` bytes lie in memory.
    #[inline]
    pub(super) fn block(&self, word: u64, size: u32) -> Result<Address> {
        let at = word as Address;
        if Self::is_block(self.table.memory, at, size) { Ok(at) } else { corrupt(at) }
    }

    #[inline(never)]
    fn is_block(memory: Memory, at: Address, size: u32) -> bool {
        at >= PAGE && at.is_multiple_of(16) && memory.has_here(at, size)
    }

    /// The memory may have grown.
    #[cold]
    fn check_again(&self, at: Address, size: u32) -> Result<()> {
        if at < PAGE || !self.table.memory.has(at, size) { corrupt(at) } else { Ok(()) }
    }

    #[cold]
    fn end(&self) -> u64 {
        u64::from(self.table.memory.pages_now()) * u64::from(PAGE)
    }

    #[inline]
    pub(super) fn load(&self, at: Address) -> u64 {
        self.table.memory.load64(at)
    }

    #[inline]
    pub(super) fn field(&self, offset: Address) -> Address {
        self.head.wrapping_add(offset)
    }

    /// How many buckets there are.
    #[inline]
    pub(super) fn bucket_count(&self) -> u32 {
        (self.load(self.field(BUCKET_COUNT)) as u32).clamp(1, MOST_BUCKETS)
    }

    /// Where the block word stands by which a bucket that is not in the head is reached, which bucket of the block it
    /// is, and how many the block has. From [`PAGE_BUCKETS`] on it is not of a block of buckets but of a directory: page
    /// and pages in place of bucket and buckets.
    #[inline]
    pub(super) fn bucket_cell(&self, number: u32) -> (Address, u32, u32) {
        let (base, number) =
            if number < PAGE_BUCKETS { (BUCKET_BLOCKS - 24, number) } else { (DIRECTORIES, number / PAGE_BUCKETS) };
        let level = 31 - number.leading_zeros();
        (self.field(base + level * 8), number - (1 << level), 1 << level)
    }

    /// Where a bucket is; `None` when there is no block for it yet.
    #[inline]
    pub(super) fn bucket(&self, number: u32) -> Result<Option<Address>> {
        if number < FIRST_BUCKETS {
            return Ok(Some(self.field(BUCKETS + number * 8)));
        }
        let (cell, index, count) = self.bucket_cell(number);
        let word = self.load(cell);
        if word == 0 {
            return Ok(None);
        }
        let mut at = self.block(word, count * 8)?.wrapping_add(index * 8);
        if number >= PAGE_BUCKETS {
            let word = self.load(at);
            if word == 0 {
                return Ok(None);
            }
            at = self.block(word, PAGE_BUCKETS * 8)?.wrapping_add(number % PAGE_BUCKETS * 8);
        }
        Ok(Some(at))
    }

    /// The link of a bucket, which no bucket's deletion marks: there is none.
    #[inline(always)]
    pub(super) fn bucket_link(&self, at: Address) -> Result<Link> {
        let link = Link(self.load(at));
        if link.is_marked() { corrupt(at) } else { Ok(link) }
    }

    /// Where a search for an order begins: its bucket, or the nearest before it that is listed.
    #[inline]
    pub(super) fn start(&self, order: u32) -> Result<Address> {
        let count = self.bucket_count();
        let mut number = bucket_of(order, count);
        let mut steps = 0;
        // Ends: each step goes to a bucket before. One that is not listed is being made, or its maker died.
        loop {
            if let Some(at) = self.bucket(number)?
                && Link(self.load(at)).is_listed()
            {
                return Ok(at);
            }
            if number == 0 {
                return corrupt(self.head);
            }
            steps += 1;
            number = if steps < STEPS { bucket_of(bucket_order(number) - 1, count) } else { 0 };
        }
    }

    /// Refuses a walk of more steps than there can be entries and buckets.
    #[inline]
    pub(super) fn bound(&self, steps: u64, at: Address) -> Result<()> {
        if steps.is_multiple_of(STEPS) { self.bound_slowly(steps, at) } else { Ok(()) }
    }

    /// Refuses more rounds in the log than there can be pairs, each of which is passed once.
    pub(super) fn bound_pairs(&self, rounds: &mut u32) -> Result<()> {
        *rounds += 1;
        // The memory may have grown.
        if *rounds > self.last / PAIR && u64::from(*rounds) * u64::from(PAIR) > self.end() {
            return corrupt(self.head);
        }
        Ok(())
    }

    #[cold]
    fn bound_slowly(&self, steps: u64, at: Address) -> Result<()> {
        if self.watched != 0 && self.load(self.watched) != self.era {
            // A reader in memory that may be somebody else's by now. It begins anew.
            return corrupt(at);
        }
        let chunks = self.load(self.field(TAIL)).saturating_add(64);
        let most = chunks.saturating_mul(u64::from(PLACES)).saturating_add(u64::from(self.bucket_count()));
        if steps > most.min(u64::from(self.last) / 8) && steps > most.min(self.end() / 8) {
            corrupt(at)
        } else {
            Ok(())
        }
    }

    /// The entry of a key that has a value or is claimed, and its value word. What is found is validated by the caller.
    #[inline]
    pub(super) fn find(&self, key: &Key<'_>, order: u32) -> Result<Option<(Address, u64)>> {
        let mut link = Link(self.load(self.start(order)?));
        let mut steps = 0;
        loop {
            let next = link.next();
            if next == 0 || link.order() > order {
                return Ok(None);
            }
            steps += 1;
            self.bound(steps, next)?;
            self.check_next(link)?;
            if link.leads_to_bucket() {
                link = Link(self.load(next));
                continue;
            }
            if link.order() == order && self.has_key(next, key)? {
                let value = self.load(next.wrapping_add(VALUE));
                if matches!(state(value), State::Value | State::Claimed | State::Joined) {
                    return Ok(Some((next, value)));
                }
            }
            link = Link(self.load(next.wrapping_add(LINK)));
        }
    }

    /// Whether the entry has this key. An entry whose key was given back meanwhile is deleted, and has none.
    #[inline]
    pub(super) fn has_key(&self, entry: Address, key: &Key<'_>) -> Result<bool> {
        let word = self.load(entry.wrapping_add(KEY));
        match key.word() {
            Some(wanted) => Ok(word == wanted),
            None if value::is_block(word) => self.has_long_key(entry, key),
            None => Ok(false),
        }
    }

    /// The key's block may change its slab's owner while it is looked at: only another key word says that it is gone.
    #[inline(never)]
    fn has_long_key(&self, entry: Address, key: &Key<'_>) -> Result<bool> {
        let Some(body) = key.body() else { return Ok(false) };
        look_at(self.table, entry.wrapping_add(KEY), |_, stored| {
            stored.map_or(Ok(false), |stored| stored.equals(self.table, body))
        })
    }
}
