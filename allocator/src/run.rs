//! Large blocks: runs of whole pages.
//!
//! A run is claimed from its last page to its first, each by one exchange of a free page word; the first page makes it
//! a run. It is freed by exchanging the first page's word (that decides who frees), then from the last page back.
//! So at every instant what is left of a half-claimed or half-freed run can be told from its pages alone. Modelled, with
//! operations and recoveries cut short, in `tests/models/run.test.mjs`.

use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::layout::PAGE;
use crate::page;
use crate::record::{self, Block, Claim};
use crate::sync::Address;
use crate::words::{Kind, PageKind, PageWord};

/// Places tried before the memory grows instead: each that was lost is another agent's success.
const ROUNDS: u32 = 64;

impl Agent {
    /// Takes a run of at least `size` bytes, at a multiple of 64 KiB. Linear in the pages of the heap.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn take_large(self, size: u32, kind: Kind) -> Result<Block> {
        let length = size.div_ceil(PAGE);
        let found = self.find_run(length, kind).or_else(|| self.grow_run(length, kind)).or_else(|| {
            crate::reclaim::everything(self);
            self.find_run(length, kind).or_else(|| self.grow_run(length, kind))
        });
        found.ok_or_else(|| self.out_of_memory(u64::from(size)))
    }

    /// First fit among the free pages.
    fn find_run(self, length: u32, kind: Kind) -> Option<Block> {
        let mut from = 0u32;
        for _ in 0..ROUNDS {
            let first = self.free_stretch(from, length)?;
            match self.claim_run(first, length, kind) {
                Ok(block) => return Some(block),
                // Somebody took this page: look behind it.
                Err(lost) => from = lost.wrapping_add(1),
            }
        }
        None
    }

    pub(crate) fn free_stretch(self, from: u32, length: u32) -> Option<u32> {
        let mut have = 0u32;
        for page in from..self.limit().min(self.memory().pages_now()) {
            let word = self.page_word(page);
            let usable = word.kind() == PageKind::Free && !self.is_kept_page(word);
            have = if usable { have.wrapping_add(1) } else { 0 };
            if have == length {
                return Some(page.wrapping_add(1).wrapping_sub(length));
            }
        }
        None
    }

    /// Claims exactly these pages, or answers the one that was lost.
    fn claim_run(self, first: u32, length: u32, kind: Kind) -> Result<Block, u32> {
        self.record_claim(Some(Claim::Run { first, length }));
        for distance in (1..length).rev() {
            let page = first.wrapping_add(distance);
            let word = self.page_word(page);
            let body = PageWord::run_body(word.next_generation(), distance, self.index());
            if word.kind() != PageKind::Free || !self.exchange_page(page, word, body) {
                self.release_run_bodies(first, length);
                self.record_claim(None);
                return Err(page);
            }
        }
        let word = self.page_word(first);
        let head = PageWord::run(word.next_generation(), length, self.index(), kind, false);
        if word.kind() != PageKind::Free || !self.exchange_page(first, word, head) {
            self.release_run_bodies(first, length);
            self.record_claim(None);
            return Err(first);
        }
        self.record_claim(None);
        Ok(Block { address: page::address(first), generation: head.generation() })
    }

    /// Gives back the body pages that this slot claimed for a run that did not come to be.
    pub(crate) fn release_run_bodies(self, first: u32, length: u32) {
        self.release_run_bodies_of(first, length, self.index());
    }

    pub(crate) fn release_run_bodies_of(self, first: u32, length: u32, slot: u32) {
        for distance in 1..length {
            let page = first.wrapping_add(distance);
            let word = self.page_word(page);
            if word.kind() == PageKind::RunBody && word.length() == distance && word.run_slot() == slot {
                self.release_page_from(page, word);
            }
        }
    }

    /// Grows for a run: its pages come private from the growth, so nobody can take one of them.
    fn grow_run(self, length: u32, kind: Kind) -> Option<Block> {
        let first = self.grow(length)?;
        self.record_claim(Some(Claim::Run { first, length }));
        for distance in (1..length).rev() {
            let page = first.wrapping_add(distance);
            let word = self.page_word(page);
            self.publish_page(page, PageWord::run_body(word.generation(), distance, self.index()));
        }
        let word = self.page_word(first);
        let head = PageWord::run(word.generation(), length, self.index(), kind, false);
        self.publish_page(first, head);
        self.record_claim(None);
        Some(Block { address: page::address(first), generation: head.generation() })
    }

    /// Frees the run at `address`, whose first page word is `word`, if it has `generation` (or any, for `None`).
    ///
    /// # Errors
    /// [`Error::NotAllocated`].
    pub(crate) fn free_large(self, address: Address, word: PageWord, generation: Option<u32>) -> Result<()> {
        let wrong = generation.is_some_and(|generation| generation != word.generation());
        if address & 0xFFFF != 0 || wrong {
            return Err(Error::not_allocated(address));
        }
        self.record(record::OLD, Block { address, generation: word.generation() }.to_word());
        let first = address / PAGE;
        let mut word = word;
        // Again only when its maker published it meanwhile.
        while !self.exchange_page(first, word, PageWord::run_body(word.next_generation(), 0, word.run_slot())) {
            let found = self.page_word(first);
            if found.kind() != PageKind::Run || found.generation() != word.generation() {
                return Err(Error::not_allocated(address));
            }
            word = found;
        }
        self.finish_run(first, word.next_generation());
        Ok(())
    }

    /// Goes on freeing the run whose first page became a body page with `generation`. Idempotent; several may be at it:
    /// who frees, and whoever recovers one that freed or tried to.
    ///
    /// Others' body pages may stand behind the same first page: of claims that began while it was free. Their slot tells
    /// them from this run's. None is its *maker's*: a claim has found its first page free before it takes any, its agent
    /// makes nothing else until it ends or is undone, and the first page of a run is given back last.
    pub(crate) fn finish_run(self, first: u32, generation: u32) {
        let head = self.page_word(first);
        if head.kind() != PageKind::RunBody || head.length() != 0 || head.generation() != generation {
            return;
        }
        let is_body = |page: u32, word: PageWord| {
            word.kind() == PageKind::RunBody
                && word.length() == page.wrapping_sub(first)
                && word.run_slot() == head.run_slot()
        };
        let mut end = first.wrapping_add(1);
        while is_body(end, self.page_word(end)) {
            end = end.wrapping_add(1);
        }
        for page in (first.wrapping_add(1)..end).rev() {
            let word = self.page_word(page);
            // The first page behind the word: while that is the run's, so was the word.
            if is_body(page, word) && self.page_word(first) == head {
                self.release_page_from(page, word);
            }
        }
        self.release_page_from(first, head);
    }

    /// Decides a claim of `slot` that was cut short between the last page and the first.
    pub(crate) fn finish_run_claim(self, first: u32, length: u32, slot: u32) {
        let head = self.page_word(first);
        if head.kind() != PageKind::Run || head.run_slot() != slot || head.length() != length {
            self.release_run_bodies_of(first, length.min(self.limit()), slot);
        }
    }
}
