//! Small blocks: slabs of one size class.
//!
//! Truth is each block's header word. The owner, {slot, tenure} of the page word, takes and frees blocks with plain
//! stores: only it hands them out again. Others free by one compare-exchange of the header and then touch nothing of
//! the page any more (it may become something else at once); they leave a hint in a bitmap of pages. Free blocks of the owner are linked through their header words, so that taking one is two loads and
//! three stores; the link is derived and rebuilt from the headers when the slab changes hands or a link looks wrong.

use crate::agent::{Agent, Constants};
use crate::error::{Error, Result};
use crate::layout::{PAGE, body, control, slab};
use crate::page;
use crate::record::{self, Block};
use crate::size_class::{CLASS, Class};
use crate::sync::Address;
use crate::words::{Header, Kind, PageKind, PageWord, State};

/// End of the free list.
const NONE: u32 = 0xFFFF;
/// Slabs of the ring that a refill looks at before it takes a new page.
const LOOKS: u32 = 8;
/// One more block taken, in the owner word.
const TAKEN: u64 = 1 << 16;

#[inline(always)]
fn current_of(constants: Constants, class: u32) -> Address {
    constants.body.wrapping_add(body::CURRENT).wrapping_add(class.wrapping_mul(4))
}

fn local(head: u32, taken: u32) -> u64 {
    (head & 0xFFFF) as u64 | (taken as u64) << 16
}

fn taken_of(local: u64) -> u32 {
    (local >> 16) as u32 & 0xFFFF
}

impl Agent {
    #[inline(always)]
    fn class_word(self, table: Address, class: u32) -> Address {
        self.body_field(table.wrapping_add(class.wrapping_mul(4)))
    }

    /// Takes a block of `class`. No atomic on the way while the current slab has one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(always)]
    pub(crate) fn take_small(self, constants: Constants, class: u32, kind: Kind) -> Result<Block> {
        let memory = self.memory();
        let at = memory.own32(current_of(constants, class));
        let shape = CLASS[(class & 31) as usize];
        if at != 0 {
            let owner = memory.own64(at);
            let index = owner as u32 & 0xFFFF;
            if index < u32::from(shape.count) {
                let header_at = at.wrapping_add(shape.header(index));
                let header = Header(memory.own64(header_at));
                if header.state() == State::Linked {
                    let address = at.wrapping_add(shape.block(index));
                    let block = Block::at(address, header.generation());
                    self.record(record::NEW, block.to_word());
                    let raw = Header::taken(State::Raw, kind, constants.index, block.generation);
                    memory.set_own64(header_at, raw.0);
                    let rest = (owner & !0xFFFF | header.link() as u64).wrapping_add(TAKEN);
                    memory.set_own64(at, rest);
                    return Ok(block);
                }
            }
        }
        self.take_small_slowly(class, kind)
    }

    #[cold]
    #[inline(never)]
    fn take_small_slowly(self, class: u32, kind: Kind) -> Result<Block> {
        let at = self.refill(class)?;
        self.memory().set_own32(self.class_word(body::CURRENT, class), at);
        let shape = CLASS[(class & 31) as usize];
        // The refill answers only slabs whose list it has just looked at.
        let owner = self.memory().own64(at);
        let index = owner as u32 & 0xFFFF;
        let header_at = at.wrapping_add(shape.header(index));
        let header = Header(self.memory().own64(header_at));
        let block = Block::at(at.wrapping_add(shape.block(index)), header.generation());
        self.record(record::NEW, block.to_word());
        let raw = Header::taken(State::Raw, kind, self.index(), block.generation);
        self.memory().set_own64(header_at, raw.0);
        self.memory().set_own64(at, (owner & !0xFFFF | header.link() as u64).wrapping_add(TAKEN));
        Ok(block)
    }

    /// Frees the block at `address`, whose page word is `word`, if its header has `generation` (or any, for `None`).
    ///
    /// # Errors
    /// [`Error::NotAllocated`].
    #[inline(always)]
    pub(crate) fn free_small(
        self,
        constants: Constants,
        address: Address,
        word: PageWord,
        generation: Option<u32>,
    ) -> Result<()> {
        let at = address & !0xFFFF;
        let shape = CLASS[word.class() as usize];
        let Some(index) = shape.index(address & 0xFFFF) else {
            return Err(Error::NotAllocated { address });
        };
        let memory = self.memory();
        let header_at = at.wrapping_add(shape.header(index));
        let header = Header(memory.load64(header_at));
        if !header.is_taken() || generation.is_some_and(|generation| generation != header.generation()) {
            return Err(Error::NotAllocated { address });
        }
        self.record(record::OLD, Block::at(address, header.generation()).to_word());
        if word.0 & PageWord::OWN == constants.own {
            let owner = memory.own64(at);
            let next = Header::linked(owner as u32, header.generation().wrapping_add(1));
            memory.set_own64(header_at, next.0);
            let rest = (owner & !0xFFFF | index as u64).wrapping_sub(TAKEN);
            memory.set_own64(at, rest);
            let changed = owner as u32 & 0xFFFF == NONE || taken_of(rest) == 0;
            if changed && memory.own32(current_of(constants, word.class())) != at {
                self.note_freed(at, word.class(), taken_of(rest) == 0);
            }
            Ok(())
        } else {
            self.free_elsewhere(at, shape, index, header)
        }
    }

    /// A slab that is not the current one was full and has room, or has become empty.
    #[cold]
    #[inline(never)]
    fn note_freed(self, at: Address, class: u32, empty: bool) {
        if empty {
            self.unlink(at, class);
            self.release_page(at / PAGE);
        } else {
            self.memory().set_own32(self.class_word(body::HINT, class), at);
        }
    }

    /// Frees a block of another agent's slab: the header decides, the bitmap is a hint for the owner.
    #[cold]
    #[inline(never)]
    fn free_elsewhere(self, at: Address, shape: Class, index: u32, header: Header) -> Result<()> {
        let memory = self.memory();
        let header_at = at.wrapping_add(shape.header(index));
        let mut header = header;
        // Again only when the audit marked it or its maker published it meanwhile: three times at most.
        let freed = loop {
            let loose = Header::loose(header.generation().wrapping_add(1));
            #[cfg(feature = "controls")]
            if crate::controls::active(crate::controls::Control::PlainRemoteFree) {
                // Seeded bug: frees without looking whether somebody else did.
                memory.store64(header_at, loose.0);
                break true;
            }
            match memory.compare_exchange64(header_at, header.0, loose.0) {
                Ok(_) => break true,
                Err(found) => {
                    let found = Header(found);
                    if !found.is_taken() || found.generation() != header.generation() {
                        break false;
                    }
                    header = found;
                }
            }
        };
        if !freed {
            return Err(Error::NotAllocated { address: at.wrapping_add(shape.block(index)) });
        }
        self.freed_hints().set(at / PAGE);
        Ok(())
    }

    /// Links what others freed in an own slab: one load a block. Answers whether the slab has a free block now.
    pub(crate) fn collect(self, at: Address, class: u32) -> bool {
        let memory = self.memory();
        let shape = CLASS[(class & 31) as usize];
        if self.freed_hints().has(at / PAGE) {
            // Cleared before the headers are read: who frees later sets it again.
            self.freed_hints().clear(at / PAGE);
            let mut owner = memory.own64(at);
            for index in 0..u32::from(shape.count) {
                let header_at = at.wrapping_add(shape.header(index));
                let header = Header(memory.load64_ordered(header_at));
                if header.state() == State::Loose {
                    memory.set_own64(header_at, Header::linked(owner as u32, header.generation()).0);
                    owner = (owner & !0xFFFF | index as u64).wrapping_sub(TAKEN);
                    memory.set_own64(at, owner);
                }
            }
        }
        self.has_room(at, shape)
    }

    /// Whether the head of the list is a linked block; a list that looks wrong is rebuilt.
    fn has_room(self, at: Address, shape: Class) -> bool {
        let head = self.memory().own64(at) as u32 & 0xFFFF;
        if head == NONE {
            return false;
        }
        let linked = head < u32::from(shape.count)
            && Header(self.memory().own64(at.wrapping_add(shape.header(head)))).state() == State::Linked;
        linked || self.relist(at, shape) != NONE
    }

    /// Makes the list of an own slab anew from its headers; answers its head. One load and at most one store a block.
    ///
    /// `RAW` blocks are kept: the caller's operation may hold them.
    fn relist(self, at: Address, shape: Class) -> u32 {
        self.relink(at, shape, |_| false)
    }

    /// As `relist`; answers how many blocks are taken.
    pub(crate) fn rebuild(self, at: Address, class: u32) -> u32 {
        self.relist(at, CLASS[(class & 31) as usize]);
        taken_of(self.memory().own64(at))
    }

    /// As `rebuild`, and frees the raw blocks: their maker is gone, or its operation was cut short.
    pub(crate) fn rebuild_swept(self, at: Address, class: u32) -> u32 {
        let shape = CLASS[(class & 31) as usize];
        self.relink(at, shape, |header| header.state() == State::Raw);
        taken_of(self.memory().own64(at))
    }

    fn relink(self, at: Address, shape: Class, sweep: impl Fn(Header) -> bool) -> u32 {
        let memory = self.memory();
        let mut head = NONE;
        let mut taken = 0u32;
        for index in (0..u32::from(shape.count)).rev() {
            let header_at = at.wrapping_add(shape.header(index));
            let header = Header(memory.load64(header_at));
            if header.is_taken() && !sweep(header) {
                taken = taken.wrapping_add(1);
                continue;
            }
            let generation = header.generation().wrapping_add(u32::from(header.is_taken()));
            let next = Header::linked(head, generation);
            if header != next {
                memory.set_own64(header_at, next.0);
            }
            head = index;
        }
        memory.set_own64(at, local(head, taken));
        head
    }

    /// A slab of `class` whose list has a block: what others freed, what the ring holds, an ownerless slab, a new page.
    fn refill(self, class: u32) -> Result<Address> {
        let memory = self.memory();
        let shape = CLASS[(class & 31) as usize];
        let current = memory.own32(self.class_word(body::CURRENT, class));
        if current != 0 && self.collect(current, class) {
            return Ok(current);
        }
        let hint = memory.own32(self.class_word(body::HINT, class));
        if hint != 0 {
            memory.set_own32(self.class_word(body::HINT, class), 0);
            if self.is_own_slab(hint, class) && self.collect(hint, class) {
                return Ok(hint);
            }
        }
        if let Some(found) = self.walk_ring(class, LOOKS) {
            return Ok(found);
        }
        if let Some(found) = self.adopt(class) {
            return Ok(found);
        }
        if let Some(page) = self.claim_hinted_page().or_else(|| self.grow(1)) {
            return Ok(self.make_slab(page, class));
        }
        crate::reclaim::everything(self);
        if let Some(found) = self.walk_ring(class, u32::MAX) {
            return Ok(found);
        }
        match self.claim_hinted_page() {
            Some(page) => Ok(self.make_slab(page, class)),
            None => Err(self.out_of_memory(u64::from(shape.size))),
        }
    }

    fn is_own_slab(self, at: Address, class: u32) -> bool {
        let word = self.page_word(at / PAGE);
        at & 0xFFFF == 0 && word.0 & PageWord::OWN == self.own() && word.class() == class
    }

    /// Looks at `most` slabs of the ring, beginning behind the last one looked at.
    fn walk_ring(self, class: u32, most: u32) -> Option<Address> {
        let ring = self.class_word(body::RING, class);
        let mut at = self.memory().own32(ring);
        let first = at;
        // A ring has no more slabs than there are pages.
        for _ in 0..most.min(self.limit()) {
            if at == 0 || !self.is_own_slab(at, class) {
                return None;
            }
            let next = self.memory().own32(at.wrapping_add(slab::NEXT));
            self.memory().set_own32(ring, next);
            if self.collect(at, class) {
                return Some(at);
            }
            if next == first {
                return None;
            }
            at = next;
        }
        None
    }

    /// Puts an own slab into the ring of its class.
    pub(crate) fn link(self, at: Address, class: u32) {
        let memory = self.memory();
        let ring = self.class_word(body::RING, class);
        let next = memory.own32(ring);
        if next == 0 || !self.is_own_slab(next, class) {
            memory.set_own32(at.wrapping_add(slab::NEXT), at);
            memory.set_own32(at.wrapping_add(slab::PREVIOUS), at);
            memory.set_own32(ring, at);
            return;
        }
        let found = memory.own32(next.wrapping_add(slab::PREVIOUS));
        let previous = if self.is_own_slab(found, class) { found } else { next };
        memory.set_own32(at.wrapping_add(slab::NEXT), next);
        memory.set_own32(at.wrapping_add(slab::PREVIOUS), previous);
        memory.set_own32(previous.wrapping_add(slab::NEXT), at);
        memory.set_own32(next.wrapping_add(slab::PREVIOUS), at);
    }

    /// Takes an own slab out of the ring of its class.
    pub(crate) fn unlink(self, at: Address, class: u32) {
        let memory = self.memory();
        let next = memory.own32(at.wrapping_add(slab::NEXT));
        let previous = memory.own32(at.wrapping_add(slab::PREVIOUS));
        let rest = if next == at { 0 } else { next };
        if rest != 0 && self.is_own_slab(next, class) && self.is_own_slab(previous, class) {
            memory.set_own32(next.wrapping_add(slab::PREVIOUS), previous);
            memory.set_own32(previous.wrapping_add(slab::NEXT), next);
        }
        memory.set_own32(self.class_word(body::RING, class), rest);
        for table in [body::CURRENT, body::HINT] {
            if memory.own32(self.class_word(table, class)) == at {
                memory.set_own32(self.class_word(table, class), 0);
            }
        }
    }

    /// Makes a private page a slab of `class`, all its blocks free.
    fn make_slab(self, page: u32, class: u32) -> Address {
        let memory = self.memory();
        let at = page::address(page);
        let shape = CLASS[(class & 31) as usize];
        let word = self.page_word(page);
        let generation = self.first_generation(page);
        for index in 0..u32::from(shape.count) {
            let next = index.wrapping_add(1);
            let next = if next == u32::from(shape.count) { NONE } else { next };
            memory.set_own64(at.wrapping_add(shape.header(index)), Header::linked(next, generation).0);
        }
        memory.set_own64(at, local(0, 0));
        let slab_word =
            PageWord::owned(PageKind::Slab, word.generation(), class, self.index(), self.tenure());
        self.publish_page(page, slab_word);
        self.link(at, class);
        at
    }

    /// Takes one ownerless slab of `class` that has room, if there are any since the last fruitless search.
    fn adopt(self, class: u32) -> Option<Address> {
        let searched = self.class_word(body::SEARCHED, class);
        let orphaned = self.memory().load32(self.control_field(control::ORPHANED));
        if self.memory().own32(searched) == orphaned {
            return None;
        }
        for page in 0..self.limit() {
            let word = self.page_word(page);
            if word.kind() == PageKind::Slab
                && word.class() == class
                && let Some((at, taken)) = self.adopt_page(page, word)
            {
                if taken < u32::from(CLASS[(class & 31) as usize].count) {
                    return Some(at);
                }
            }
        }
        self.memory().set_own32(searched, orphaned);
        None
    }

    /// Takes the slab of `page` if it is ownerless: exchanges the page word, then rebuilds the list from the headers
    /// before the first block is taken. Answers the slab and how many of its blocks are taken.
    pub(crate) fn adopt_page(self, page: u32, word: PageWord) -> Option<(Address, u32)> {
        if !self.is_ownerless(word) {
            return None;
        }
        let mine = PageWord::owned(PageKind::Slab, word.next_generation(), word.class(), self.index(), self.tenure());
        if !self.exchange_page(page, word, mine) {
            return None;
        }
        let at = page::address(page);
        #[cfg(feature = "controls")]
        if crate::controls::active(crate::controls::Control::AdoptWithoutRebuild) {
            // Seeded bug: trusts the dead owner's list.
            self.link(at, word.class());
            return Some((at, taken_of(self.memory().own64(at))));
        }
        let taken = self.rebuild_swept(at, word.class());
        self.link(at, word.class());
        Some((at, taken))
    }

    /// The header word of the block that starts at `address` in a slab with this page word.
    pub(crate) fn small_header(self, address: Address, word: PageWord) -> Option<Address> {
        let shape = CLASS[word.class() as usize];
        let index = shape.index(address & 0xFFFF)?;
        Some((address & !0xFFFF).wrapping_add(shape.header(index)))
    }
}
