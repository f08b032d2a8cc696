//! The index: which entry has a key.
//!
//! All entries that are not out stand in one list, in the order of their keys' hashes ([`super::key`]); of equal ones
//! the older comes first. The list is Harris' (a deleted entry's link is marked, and never changes again; who comes by
//! takes the entry out) as Michael walks it. The buckets are Shalev's and Shavit's: each is a link in the list from
//! which a search begins, so that the table grows by one bucket at a time and no entry ever moves. A bucket that is not
//! listed yet is searched from the one before it. It is listed by the one agent that claimed it; if that agent dies
//! before, searches go on as they did.
//!
//! A key is there once: an entry is linked at the end of the entries of its order, by an exchange of the link that ended
//! them when all of them were seen to have other keys, or to be deleted.

use coheap_alloc::{Address, Result};

use super::key::{self, Key};
use super::view::corrupt;
use super::words::*;
use super::writer::Writer;
use crate::{string, value};

/// What a search found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// The entry that has the key.
    Entry(Address),
    /// None; what follows goes between this link, where it is, and what that leads to.
    Absent(Address, Link),
}

impl Writer<'_> {
    /// Searches for a key.
    #[inline]
    pub(super) fn find(&self, key: &Key<'_>, order: u32) -> Result<Found> {
        let start = self.view.start(order)?;
        self.walk(start, order, Some(key))
    }

    /// Walks to the end of an order, takes out what is deleted on the way, and stops at the entry of the key.
    ///
    /// Lock-free: another round means that another agent changed the list, or took something out of the map.
    fn walk(&self, start: Address, order: u32, key: Option<&Key<'_>>) -> Result<Found> {
        loop {
            let found = self.walk_once(start, order, key);
            if self.covers()
                && let Some(found) = found.transpose()
            {
                let found = found?;
                let written = match found {
                    Found::Entry(at) => at.wrapping_add(VALUE),
                    Found::Absent(at, _) => at,
                };
                return self.view.table.check_own(written).map(|()| found);
            }
        }
    }

    /// As [`Writer::walk`]; `None`: again. What it answers is nothing if it met what is not covered; nothing is written there.
    fn walk_once(&self, start: Address, order: u32, key: Option<&Key<'_>>) -> Result<Option<Found>> {
        let view = &self.view;
        let mut steps = 0;
        let mut at = start;
        let mut link = view.bucket_link(at)?;
        loop {
            if link.is_marked() {
                return Ok(None);
            }
            let next = link.next();
            if next == 0 || link.order() > order {
                return Ok(Some(Found::Absent(at, link)));
            }
            steps += 1;
            view.bound(steps, next)?;
            view.check_next(link)?;
            if link.leads_to_bucket() {
                (at, link) = (next, view.bucket_link(next)?);
                if !link.is_listed() {
                    if !self.reaches(at)? {
                        return Ok(None);
                    }
                    // Its maker has not said so yet.
                    self.memory().fetch_or64(at, Link::LISTED);
                }
                continue;
            }
            let link_at = next.wrapping_add(LINK);
            let after = Link(view.load(link_at));
            if after.is_marked() {
                if !self.reaches(at)? {
                    return Ok(None);
                }
                let without = after.of(link);
                link = match self.memory().compare_exchange64(at, link.0, without.0) {
                    Ok(_) => {
                        self.take_out(next)?;
                        without
                    }
                    Err(found) => Link(found),
                };
                continue;
            }
            if link.order() == order
                && let Some(key) = key
            {
                match state(view.load(next.wrapping_add(VALUE))) {
                    // Deleted by one who has not come further.
                    State::Gone => {
                        if !self.covers() {
                            return Ok(None);
                        }
                        self.mark(next)?;
                        continue;
                    }
                    State::Value | State::Claimed | State::Joined if view.has_key(next, key)? => {
                        return Ok(Some(Found::Entry(next)));
                    }
                    _ => {}
                }
            }
            (at, link) = (link_at, after);
        }
    }

    /// Whether a link or a bucket stays that is about to be written to.
    #[inline(never)]
    fn reaches(&self, at: Address) -> Result<bool> {
        if self.covers() { self.view.table.check_own(at).map(|()| true) } else { Ok(false) }
    }

    /// Puts a claimed entry between a link and what it led to; `false`: that is not so any more.
    pub(super) fn link(&self, entry: Address, order: u32, at: Address, link: Link) -> bool {
        self.memory().store64(entry.wrapping_add(LINK), link.bare().0);
        self.memory().compare_exchange64(at, link.0, Link::to_entry(order, entry, link).0).is_ok()
    }

    /// From here on nothing is linked behind the entry.
    fn mark(&self, entry: Address) -> Result<()> {
        let link_at = entry.wrapping_add(LINK);
        self.view.table.check_own(link_at)?;
        self.memory().fetch_or64(link_at, Link::MARK);
        Ok(())
    }

    /// Takes a gone entry out of the index and gives its key back, whoever deleted it and however far he came.
    pub(super) fn remove(&self, entry: Address) -> Result<()> {
        match key::order_stored(self.view.table, entry.wrapping_add(KEY))? {
            Some(order) => self.remove_ordered(entry, order),
            // Without its key it is not in the index any more.
            None => self.take_out(entry),
        }
    }

    /// As [`Writer::remove`], of a known order.
    pub(super) fn remove_ordered(&self, entry: Address, order: u32) -> Result<()> {
        self.mark(entry)?;
        let start = self.view.start(order)?;
        self.walk(start, order, None)?;
        self.take_out(entry)
    }

    /// The second half, of an entry that is not in the list any more.
    fn take_out(&self, entry: Address) -> Result<()> {
        let memory = self.memory();
        let (key_at, value_at) = (entry.wrapping_add(KEY), entry.wrapping_add(VALUE));
        self.view.table.check_own(value_at)?;
        let key = self.view.load(key_at);
        if value::is_block(key) {
            let block = string::block_of(self.view.table, key);
            // Not exchanged: another agent gave it back.
            let _ = self.operation.replace(key_at, key, value::EMPTY, None, block)?;
        }
        let gone = self.view.load(value_at);
        if state(gone) == State::Gone {
            let _ = memory.compare_exchange64(value_at, gone, out(gone));
        }
        Ok(())
    }

    /// Adds a bucket if there are more entries than buckets. Without memory for it searches become slower.
    pub(super) fn grow(&self) -> Result<()> {
        let count = self.view.bucket_count();
        let entries = self.view.load(self.view.field(COUNT)) as i32;
        if entries <= count as i32 || count >= MOST_BUCKETS {
            return Ok(());
        }
        let Some(at) = self.make_bucket(count)? else { return Ok(()) };
        let cell = self.view.field(BUCKET_COUNT);
        if self.memory().compare_exchange64(cell, u64::from(count), u64::from(count) + 1).is_ok() {
            self.list(count, at)?;
        }
        Ok(())
    }

    /// Where a bucket is, which gets a block if it has none.
    fn make_bucket(&self, number: u32) -> Result<Option<Address>> {
        // At most a directory and a page of it, each by this agent or another.
        for _ in 0..3 {
            if let Some(at) = self.view.bucket(number)? {
                return Ok(Some(at));
            }
            let (cell, index, count) = self.view.bucket_cell(number);
            let word = self.view.load(cell);
            let (cell, size) = match word {
                0 => (cell, count * 8),
                _ => (self.view.block(word, count * 8)?.wrapping_add(index * 8), PAGE_BUCKETS * 8),
            };
            let Ok(block) = self.allocate(size) else { return Ok(None) };
            if self.operation.replace(cell, 0, block.to_word(), Some(block), None)?.is_err() {
                crate::block::free(self.operation, block)?;
            }
        }
        self.view.bucket(number)
    }

    /// Lists a new bucket. If the caller dies before it is linked, it stays as it is.
    fn list(&self, number: u32, at: Address) -> Result<()> {
        self.view.table.check_own(at)?;
        let memory = self.memory();
        if memory.compare_exchange64(at, 0, Link::PREPARED).is_err() {
            return Ok(());
        }
        let order = bucket_order(number);
        let start = self.view.start(order)?;
        // Lock-free: another round means that another agent changed the list.
        loop {
            let Found::Absent(before, link) = self.walk(start, order, None)? else { return corrupt(at) };
            memory.store64(at, link.bare().0);
            if memory.compare_exchange64(before, link.0, Link::to_bucket(order, at, link).0).is_ok() {
                break;
            }
        }
        memory.fetch_or64(at, Link::LISTED);
        Ok(())
    }
}
