//! Middle blocks, 8 to 60 KiB: pages cut into granules of 4 KiB, owned by nobody.
//!
//! Which granules are taken is one word of the page table, {used, starts, claimant, generation}, that any agent
//! exchanges. The first granule of a page holds the header of each block, at the index of the granule where it starts.
//!
//! Claiming: name the claim in the record, write the header of the last claim if its claimant has not, exchange the
//! word, write the own header. So at most the last claim of a page is without a header, and the word says whose it is.
//! Freeing: exchange the header (that decides who frees), then clear the bits. Modelled, with deaths, in
//! `tests/models/middle.test.mjs`.

use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::layout::{self, GRANULE, GRANULES, PAGE, body};
use crate::page;
use crate::record::{self, Block, Claim};
use crate::slot;
use crate::sync::Address;
use crate::words::{GranuleWord, Header, Kind, PageKind, PageWord, State};

/// Rounds of claiming in one page before another page is tried: each lost round is another agent's success.
const ROUNDS: u32 = 16;

impl Agent {
    /// Takes a block of `size` bytes, a multiple of granules long, at a multiple of 4 KiB.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn take_middle(self, size: u32, kind: Kind) -> Result<Block> {
        let count = size.div_ceil(GRANULE);
        if let Some(block) = self.take_granules(count, kind) {
            return Ok(block);
        }
        loop {
            // Each round adds a page that at once others may have taken granules of: then they succeeded.
            let page = match self.claim_page() {
                Ok(page) => page,
                // What the search brought back may be granules rather than a page.
                Err(error) => return self.take_granules(count, kind).ok_or(error),
            };
            self.make_granules(page);
            if let Some(block) = self.take_granules(count, kind) {
                return Ok(block);
            }
        }
    }

    fn take_granules(self, count: u32, kind: Kind) -> Option<Block> {
        let cursor = self.body_field(body::GRANULE_CURSOR);
        let from = self.memory().own32(cursor);
        if let Some(block) = self.take_granules_of(from, count, kind) {
            return Some(block);
        }
        self.granule_hints().find(from, |page| {
            let block = self.take_granules_of(page, count, kind)?;
            self.memory().set_own32(cursor, page);
            Some(block)
        })
    }

    fn take_granules_of(self, page: u32, count: u32, kind: Kind) -> Option<Block> {
        let memory = self.memory();
        let word_at = self.granule_word_at(page);
        for _ in 0..ROUNDS {
            let word = self.granules(page);
            // Behind the word: a page that is only being made has room already, and is not published yet.
            if self.page_word(page).kind() != PageKind::Granules {
                break;
            }
            let Some(start) = word.room(count) else { break };
            let address = page::address(page).wrapping_add(start.wrapping_mul(GRANULE));
            // Behind the word: a header that is younger belongs to a claim that the exchange will notice.
            let header = Header(memory.load64(granule_header(address)));
            let generation = header.generation().wrapping_add(1);
            let claimed = word.claimed(start, count, self.index());
            let block = Block { address, generation };
            self.record(record::NEW, block.to_word());
            let claim = Claim::Granules { page, start, kind: kind as u8, generation: claimed.generation() };
            self.record_claim(Some(claim));
            self.help_last_claimant(page, word);
            #[cfg(feature = "controls")]
            if crate::controls::active(crate::controls::Control::BlindGranules) {
                // Seeded bug: claims what may not be free any more.
                memory.store64(word_at, claimed.0);
            }
            if memory.compare_exchange64(word_at, word.0, claimed.0).is_ok() || blind() {
                let raw = Header::taken(State::Raw, kind, self.index(), generation);
                memory.store64(granule_header(address), raw.0);
                self.record_claim(None);
                return Some(block);
            }
        }
        self.record_claim(None);
        None
    }

    /// Writes the header of the claim that made `word`, if its claimant has not come to it. Three loads mostly.
    fn help_last_claimant(self, page: u32, word: GranuleWord) {
        let memory = self.memory();
        let Some(claimant) = slot::find(memory, self.control(), word.claimant()) else { return };
        let claim_at = claimant.wrapping_add(layout::slot::RECORD).wrapping_add(record::CLAIM);
        let claim = memory.load64_ordered(claim_at);
        let Some(Claim::Granules { page: named, start, kind, generation }) = Claim::from_word(claim) else { return };
        let Some(kind) = Kind::from_tag(kind) else { return };
        if named != page || generation != word.generation() {
            return;
        }
        let header_at = granule_header(page::address(page).wrapping_add(start.wrapping_mul(GRANULE)));
        let header = Header(memory.load64_ordered(header_at));
        // The claim still stands after the header was read: so the header was read before it was written.
        if header.is_taken() || memory.load64_ordered(claim_at) != claim {
            return;
        }
        let raw = Header::taken(State::Raw, kind, word.claimant(), header.generation().wrapping_add(1));
        // Lost to the claimant itself, or to another helper: it is written.
        let _ = memory.compare_exchange64(header_at, header.0, raw.0);
    }

    pub(crate) fn granules(self, page: u32) -> GranuleWord {
        GranuleWord(self.memory().load64(self.granule_word_at(page)))
    }

    fn make_granules(self, page: u32) {
        let memory = self.memory();
        let generation = self.granules(page).generation();
        // Old handles into the page's former life meet generations that begin elsewhere.
        let first = self.first_generation(page);
        for start in 0..GRANULES {
            let at = page::address(page).wrapping_add(start.wrapping_mul(8));
            memory.set_own64(at, Header::free(first).0);
        }
        memory.store64(self.granule_word_at(page), GranuleWord::open(generation.wrapping_add(1)).0);
        let word = PageWord::simple(PageKind::Granules, self.page_word(page).generation());
        // Exchanged, not stored: the hint's load must not be answered before it.
        memory.swap64(self.page_word_at(page), word.0);
        self.granule_hints().set(page);
    }

    /// Frees the block at `address` of a granule page, if its header has `generation` (or any, for `None`).
    ///
    /// # Errors
    /// [`Error::NotAllocated`].
    pub(crate) fn free_middle(self, address: Address, generation: Option<u32>) -> Result<()> {
        let memory = self.memory();
        let page = address / PAGE;
        let start = granule_of(address).ok_or_else(|| Error::not_allocated(address))?;
        let word = GranuleWord(memory.load64(self.granule_word_at(page)));
        let header_at = granule_header(address);
        let mut header = Header(memory.load64(header_at));
        let wrong = generation.is_some_and(|generation| generation != header.generation());
        if word.count(start) == 0 || !header.is_taken() || wrong {
            return Err(Error::not_allocated(address));
        }
        self.record(record::OLD, Block { address, generation: header.generation() }.to_word());
        // Again only when its maker published it meanwhile: twice at most.
        while let Err(found) =
            memory.compare_exchange64(header_at, header.0, Header::freed(self.index(), header.generation()).0)
        {
            let found = Header(found);
            if !found.is_taken() || found.generation() != header.generation() {
                return Err(Error::not_allocated(address));
            }
            header = found;
        }
        let before = GranuleWord(memory.fetch_and64(self.granule_word_at(page), !word.block(start)));
        self.after_clearing(page, GranuleWord(before.0 & !word.block(start)));
        Ok(())
    }

    /// A page has room again, or nothing in it: an empty page goes back.
    pub(crate) fn after_clearing(self, page: u32, now: GranuleWord) {
        self.granule_hints().set(page);
        if now.is_empty() {
            let closed = GranuleWord::closed(now.next_generation());
            if self.memory().compare_exchange64(self.granule_word_at(page), now.0, closed.0).is_ok() {
                self.finish_closing(page);
            }
        }
    }

    /// Gives a closed granule page back; who finds one that its closer left does the same.
    pub(crate) fn finish_closing(self, page: u32) {
        let word = self.page_word(page);
        let closed = GranuleWord(self.memory().load64(self.granule_word_at(page))).is_closed();
        if word.kind() == PageKind::Granules && closed {
            self.granule_hints().clear(page);
            self.release_page_from(page, word);
            // It may have become a granule page again between the look and the clearing: published behind its granules.
            if self.page_word_ordered(page).kind() == PageKind::Granules && !self.granules(page).is_closed() {
                self.granule_hints().set(page);
            }
        }
    }

    /// The header word of the block that starts at `address` of a granule page.
    pub(crate) fn middle_header(self, address: Address) -> Option<Address> {
        let start = granule_of(address)?;
        let word = GranuleWord(self.memory().load64(self.granule_word_at(address / PAGE)));
        (word.count(start) != 0).then(|| granule_header(address))
    }

    /// Bytes of the block that starts at `address` of a granule page.
    pub(crate) fn middle_size(self, address: Address) -> u32 {
        let word = GranuleWord(self.memory().load64(self.granule_word_at(address / PAGE)));
        granule_of(address).map_or(0, |start| word.count(start).wrapping_mul(GRANULE))
    }

    /// Decides this agent's claim that was cut short: if the page's word is of it, its header is written, and the sweep
    /// frees it.
    pub(crate) fn finish_granule_claim(self, page: u32, generation: u32) {
        let word = GranuleWord(self.memory().load64(self.granule_word_at(page)));
        let installed = word.claimant() == self.index() && word.generation() == generation;
        if self.page_word(page).kind() == PageKind::Granules && installed {
            self.help_last_claimant(page, word);
        }
    }

    /// Goes on with this agent's free that was cut short between the header and the bits.
    pub(crate) fn finish_granule_free(self, block: Block) {
        let memory = self.memory();
        let address = block.address;
        let page = address / PAGE;
        let Some(start) = granule_of(address) else { return };
        let header_at = granule_header(address);
        let freed = Header::freed(self.index(), block.generation);
        // Again only when the word changed under us: each time somebody else went on.
        while Header(memory.load64_ordered(header_at)) == freed {
            let word = GranuleWord(memory.load64_ordered(self.granule_word_at(page)));
            if word.count(start) == 0 || self.is_claimed_now(page, start, word) {
                return;
            }
            if Header(memory.load64_ordered(header_at)) != freed {
                return;
            }
            let cleared = GranuleWord(word.0 & !word.block(start));
            if memory.compare_exchange64(self.granule_word_at(page), word.0, cleared.0).is_ok() {
                self.after_clearing(page, cleared);
                return;
            }
        }
    }

    /// Whether the claim that made `word` is of the block at `start` and its claimant has not come to the header yet.
    fn is_claimed_now(self, page: u32, start: u32, word: GranuleWord) -> bool {
        let Some(claimant) = slot::find(self.memory(), self.control(), word.claimant()) else { return false };
        let claim_at = claimant.wrapping_add(layout::slot::RECORD).wrapping_add(record::CLAIM);
        match Claim::from_word(self.memory().load64_ordered(claim_at)) {
            Some(Claim::Granules { page: named, start: at, generation, .. }) => {
                (named, at, generation) == (page, start, word.generation())
            }
            _ => false,
        }
    }

    /// Frees the raw blocks that `agent` made in this granule page.
    pub(crate) fn sweep_granules(self, page: u32, agent: u32) {
        let memory = self.memory();
        let word = GranuleWord(memory.load64(self.granule_word_at(page)));
        if word.is_closed() {
            self.finish_closing(page);
            return;
        }
        for start in 1..GRANULES {
            let address = page::address(page).wrapping_add(start.wrapping_mul(GRANULE));
            let header = Header(memory.load64(granule_header(address)));
            if word.count(start) != 0 && header.state() == State::Raw && header.slot() == agent {
                // Nobody else frees a raw block, so this succeeds unless the page's bits are not its any more.
                let _ = self.free_middle(address, Some(header.generation()));
            }
        }
    }
}

/// Where the header of the block that starts at `address` lies.
fn granule_header(address: Address) -> Address {
    (address & !0xFFFF).wrapping_add(((address & 0xFFFF) / GRANULE).wrapping_mul(8))
}

/// The granule that starts at `address`, or `None` for the first one and for what is no start.
fn granule_of(address: Address) -> Option<u32> {
    let start = (address & 0xFFFF) / GRANULE;
    (start != 0 && address.is_multiple_of(GRANULE)).then_some(start)
}

/// Whether the seeded bug that claims blindly is on.
fn blind() -> bool {
    #[cfg(feature = "controls")]
    {
        crate::controls::active(crate::controls::Control::BlindGranules)
    }
    #[cfg(not(feature = "controls"))]
    {
        false
    }
}
