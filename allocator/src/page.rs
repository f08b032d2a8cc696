//! Pages of 64 KiB: the page table, claiming, giving back, growing.
//!
//! Truth is the page word. A page that an agent prepares is `Private` to {slot, tenure}, so one whose maker is gone
//! is recognised without a record. `memory.grow` itself is the only allocator of new pages that never waits; others
//! call it too, so what it returns is taken as it is, and what lies between stays foreign.

use crate::agent::Agent;
use crate::audit::Rule;
use crate::error::{Error, Result};
use crate::hints::Hints;
use crate::layout::{PAGE, body, control};
use crate::record;
use crate::slot;
use crate::sync::{Address, Memory};
use crate::words::{PageKind, PageName, PageWord};

/// Pages that are grown at once, at least: a growth costs the same whatever its size.
pub(crate) const BATCH: u32 = 16;

/// Where the word of a page lies that the page table has.
#[inline(always)]
pub(crate) fn word_at(table: Address, page: u32) -> Address {
    table.wrapping_add(page.wrapping_mul(16))
}

/// Refuses an address that is not in a page of the heap in which words of structures stand, or not a multiple of 8. Who is about to write
/// where a shared word leads looks here first, once, and then what it leads to stays: a damaged one may lead to a page of the memory that
/// is not the heap's. Two loads.
///
/// # Errors
/// [`Error::Corrupt`].
#[inline(never)]
pub fn check_own(memory: Memory, control: Address, at: Address) -> Result<()> {
    let page = at / PAGE;
    let is_own = page < memory.constant32(control.wrapping_add(control::LIMIT))
        && PageWord(memory.load64(word_at(control.wrapping_add(control::TABLE), page))).has_words()
        && at.is_multiple_of(8);
    if is_own { Ok(()) } else { Err(Error::corrupt(Rule::CellIsPlaced as u32, at)) }
}

impl Agent {
    #[inline(always)]
    pub(crate) fn page_word_at(self, page: u32) -> Address {
        word_at(self.table(), page)
    }

    pub(crate) fn granule_word_at(self, page: u32) -> Address {
        self.page_word_at(page).wrapping_add(8)
    }

    /// The word of a page; foreign when the table does not reach so far.
    #[inline(always)]
    pub(crate) fn page_word(self, page: u32) -> PageWord {
        if page >= self.limit() {
            return PageWord(0);
        }
        PageWord(self.memory().load64(self.page_word_at(page)))
    }

    /// As [`Agent::page_word`], for a look that must not be answered before an own change (I-12); of a page of the table.
    pub(crate) fn page_word_ordered(self, page: u32) -> PageWord {
        PageWord(self.memory().load64_ordered(self.page_word_at(page)))
    }

    pub(crate) fn exchange_page(self, page: u32, old: PageWord, new: PageWord) -> bool {
        self.memory().compare_exchange64(self.page_word_at(page), old.0, new.0).is_ok()
    }

    fn free_hints(self) -> Hints {
        Hints::new(self.memory(), self.control_field(control::FREE_HINTS), self.limit())
    }

    pub(crate) fn granule_hints(self) -> Hints {
        Hints::new(self.memory(), self.control_field(control::GRANULE_HINTS), self.limit())
    }

    pub(crate) fn freed_hints(self) -> Hints {
        Hints::new(self.memory(), self.control_field(control::FREED_HINTS), self.limit())
    }

    /// Where the generations of a page's blocks begin: old handles into its former life meet others.
    #[inline(never)]
    pub(crate) fn first_generation(self, page: u32) -> u32 {
        let seed = self.memory().load64(self.control_field(control::SEED)) as u32;
        seed ^ self.page_word(page).generation().wrapping_mul(0x9E37_79B1)
    }

    /// A private word for `page`, next generation.
    pub(crate) fn private_word(self, word: PageWord) -> PageWord {
        PageWord::owned(PageKind::Private, word.next_generation(), 0, self.index(), self.tenure())
    }

    /// Claims one page of those that the hints call free. Lock-free; at most one attempt a page.
    pub(crate) fn claim_hinted_page(self) -> Option<u32> {
        // An agent that is just being attached has no body yet.
        let cursor = (self.body() != 0).then(|| self.body_field(body::PAGE_CURSOR));
        let from = cursor.map_or(0, |cursor| self.memory().own32(cursor));
        let page = self.free_hints().find(from, |page| self.claim_if_free(page))?;
        if let Some(cursor) = cursor {
            self.memory().set_own32(cursor, page);
        }
        Some(page)
    }

    fn claim_if_free(self, page: u32) -> Option<u32> {
        let word = self.page_word(page);
        if self.is_kept_page(word) {
            return None;
        }
        if word.kind() == PageKind::Free && self.exchange_page(page, word, self.private_word(word)) {
            self.free_hints().clear(page);
            return Some(page);
        }
        self.free_hints().clear(page);
        // It may have been given back between the two looks.
        if self.page_word_ordered(page).kind() == PageKind::Free {
            self.free_hints().set(page);
        }
        None
    }

    /// Gives a page that is private to this agent (or a slab of it) back.
    pub(crate) fn release_page(self, page: u32) {
        let word = self.page_word(page);
        // Exchanged, not stored: the hint's load must not be answered before it.
        self.memory().swap64(self.page_word_at(page), PageWord::free(word.next_generation()).0);
        self.free_hints().set(page);
    }

    /// As [`Agent::release_page`], when others may do it as well: only who exchanges `word` does.
    pub(crate) fn release_page_from(self, page: u32, word: PageWord) -> bool {
        let done = self.exchange_page(page, word, PageWord::free(word.next_generation()));
        if done {
            self.free_hints().set(page);
        }
        done
    }

    /// Grows the memory by at least `need` pages; the first `need` stay private to this agent, the rest is free.
    /// Answers the first page. About 2 µs, whatever the size.
    pub(crate) fn grow(self, need: u32) -> Option<u32> {
        let flags = self.memory().load32(self.control_field(control::FLAGS));
        if flags & control::FIXED != 0 {
            return None;
        }
        let room = self.limit().saturating_sub(self.memory().pages_now());
        if need == 0 || need > room {
            return None;
        }
        let batch = need.max(BATCH).min(room);
        let (first, grown) = match self.memory().grow(batch) {
            Some(first) => (first, batch),
            // The platform, or another grower, left less than a batch.
            None => (self.memory().grow(need)?, need),
        };
        #[cfg(feature = "controls")]
        let first = if crate::controls::active(crate::controls::Control::AssumeContiguous) {
            // Seeded bug: believes it is the only grower.
            self.assume_contiguous(grown)
        } else {
            first
        };
        let end = first.saturating_add(grown).min(self.limit());
        // Another grower may have pushed ours beyond the table: then what still lies in it is everybody's.
        let mine = first.wrapping_add(need);
        let fits = mine <= end;
        for page in first..end {
            let private = fits && page < mine;
            let word = if private { self.private_word(PageWord(0)) } else { PageWord::free(1) };
            self.memory().store64(self.page_word_at(page), word.0);
            if !private {
                self.free_hints().set(page);
            }
        }
        fits.then_some(first)
    }

    #[cfg(feature = "controls")]
    fn assume_contiguous(self, grown: u32) -> u32 {
        let last = (0..self.limit()).rev().find(|&page| self.page_word(page).kind() != PageKind::Foreign);
        let _ = grown;
        last.unwrap_or(0).wrapping_add(1)
    }

    /// A page of its own, private to this agent: hinted, grown, or what a search of everything brings back.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn claim_page(self) -> Result<u32> {
        if let Some(page) = self.claim_hinted_page().or_else(|| self.grow(1)) {
            return Ok(page);
        }
        crate::reclaim::everything(self);
        self.claim_hinted_page().ok_or_else(|| self.out_of_memory(u64::from(PAGE)))
    }

    /// `length` pages side by side, private to this agent.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn claim_pages(self, length: u32) -> Result<u32> {
        if length == 1 {
            return self.claim_page();
        }
        let found = self.claim_or_grow(length).or_else(|| {
            crate::reclaim::everything(self);
            self.claim_or_grow(length)
        });
        found.ok_or_else(|| self.out_of_memory(u64::from(length).wrapping_mul(u64::from(PAGE))))
    }

    #[inline(never)]
    fn claim_or_grow(self, length: u32) -> Option<u32> {
        self.claim_stretch(length).or_else(|| self.grow(length))
    }

    fn claim_stretch(self, length: u32) -> Option<u32> {
        let mut from = 0u32;
        loop {
            let first = self.free_stretch(from, length)?;
            let claimed = (first..first.wrapping_add(length)).take_while(|&page| self.claim_if_free(page).is_some());
            let end = first.wrapping_add(claimed.count() as u32);
            if end == first.wrapping_add(length) {
                return Some(first);
            }
            (first..end).for_each(|page| self.release_page(page));
            // Somebody took this page: look behind it.
            from = end.wrapping_add(1);
        }
    }

    /// Makes zeroed pages part of the heap's own tables: `cell` gets the name of the first one, unless another agent was quicker.
    pub(crate) fn install(self, cell: Address, length: u32, kind: PageKind) -> Result<bool> {
        let memory = self.memory();
        let first = self.claim_pages(length)?;
        let pages = first..first.wrapping_add(length);
        let at = address(first);
        self.record(record::CELL, u64::from(cell));
        self.record(record::REPLACEMENT, u64::from(at));
        self.record(record::EXPECTED, (length as u64) | (kind as u64) << 32);
        self.record(record::KIND, record::INSTALL);
        for page in pages.clone() {
            memory.fill(address(page), PAGE, 0);
            self.publish_page(page, PageWord::simple(kind, self.page_word(page).generation()));
        }
        let installed = memory.compare_exchange32(cell, 0, PageName::of(at).0).is_ok();
        if !installed {
            self.finish_install(cell, at, length);
        }
        self.record(record::KIND, 0);
        if !installed {
            pages.for_each(|page| self.release_page(page));
        }
        Ok(installed)
    }

    /// Decides an [`Agent::install`] whose pages may not have come into the cell: then they are private again. They go
    /// back when the record names them no more, because the next agent may install one of them elsewhere.
    pub(crate) fn finish_install(self, cell: Address, at: Address, length: u32) {
        if self.memory().load32(cell) == PageName::of(at).0 {
            return;
        }
        let first = at / PAGE;
        for page in first..first.wrapping_add(length) {
            let word = self.page_word(page);
            if matches!(word.kind(), PageKind::Objects | PageKind::Control) {
                self.publish_page(page, self.private_word(word));
            }
        }
    }

    /// Sets the hint of every free page again. One load a page.
    pub(crate) fn find_free_pages(self) {
        for page in 0..self.limit() {
            if self.page_word(page).kind() == PageKind::Free {
                self.free_hints().set(page);
            }
        }
    }

    /// Whether the owner that a slab's or private page's word names is gone: condemned and reaped, detached, or
    /// revoked. Such a page belongs to whoever exchanges its word.
    #[inline(never)]
    pub(crate) fn is_ownerless(self, word: PageWord) -> bool {
        match slot::find(self.memory(), self.control(), word.slot()) {
            Some(owner) => {
                let found = slot::word(self.memory(), owner);
                found.tenure() & 0xF_FFFF != word.tenure()
            }
            None => true,
        }
    }

    /// Makes a private page what it is going to be.
    pub(crate) fn publish_page(self, page: u32, word: PageWord) {
        self.memory().store64(self.page_word_at(page), word.0);
    }

    /// The error that says how much there is.
    pub(crate) fn out_of_memory(self, requested: u64) -> Error {
        let figures = self.figures();
        Error::out_of_memory(requested, figures.live_bytes, u64::from(self.limit()).wrapping_mul(u64::from(PAGE)))
    }
}

/// The first byte of a page.
#[inline(always)]
pub(crate) fn address(page: u32) -> Address {
    page.wrapping_mul(PAGE)
}
