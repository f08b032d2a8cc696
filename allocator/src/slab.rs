//! Small blocks: slabs of one size class.
//!
//! Truth is each block's header word. The owner, {slot, tenure} of the page word, takes and frees blocks with plain
//! stores: only it hands them out again. Others free by one compare-exchange of the header and then touch nothing of
//! the page any more (it may become something else at once); they leave a hint in a bitmap of pages. Which blocks the
//! owner may take is a bitmap of its own: derived, checked against the header at each use, made anew from the headers
//! when the slab changes hands. A word of it at a time moves into the class's window, which blocks are taken from, while
//! frees go to the bitmap: so taking a block does not wait for the address arithmetic of the free before it.

use crate::agent::{Agent, Constants, within};
use crate::error::{Error, Result};
use crate::layout::{PAGE, body, control, slab, window};
use crate::page;
use crate::record::{self, Block};
use crate::size_class::{CLASS, Class};
use crate::sync::Address;
use crate::words::{Header, Kind, PageKind, PageWord, State};

/// Slabs of the ring that a refill looks at before it takes a new page.
const LOOKS: u32 = 8;

/// Seeded bug: a block stays in the window, and its header is not looked at.
#[inline(always)]
fn hands_out_twice() -> bool {
    #[cfg(feature = "controls")]
    return crate::controls::active(crate::controls::Control::HandOutTwice);
    #[cfg(not(feature = "controls"))]
    false
}

/// Where the agent keeps the window of `class`.
#[inline(always)]
fn window_of(body: Address, class: u32) -> Address {
    within(within(body, class.wrapping_mul(window::SIZE)), body::WINDOWS)
}

/// Forgets what the window of `class` holds: the caller lists it again, or the slab is not the agent's any more.
pub(crate) fn close_window(agent: Agent, class: u32) {
    agent.memory().set_own32(window_of(agent.body(), class).wrapping_add(window::HEADERS), 0);
}

#[inline(always)]
fn ring_word(at: Address, class: u32, word: Address) -> Address {
    shape_of(class).owner(at).wrapping_add(word)
}

#[inline(always)]
fn shape_of(class: u32) -> &'static Class {
    &CLASS[(class & 31) as usize]
}

impl Agent {
    #[inline(always)]
    fn class_word(self, table: Address, class: u32) -> Address {
        self.body_field(table.wrapping_add(class.wrapping_mul(4)))
    }

    /// Takes a block of `class`. No atomic on the way while the window has one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(always)]
    pub(crate) fn take_small(self, constants: Constants, class: u32, kind: Kind) -> Result<Block> {
        match self.take_from_window(constants, class, kind) {
            Some(block) => Ok(block),
            None => self.take_small_slowly(class, kind),
        }
    }

    /// Takes the next block of the window, if there is one, and its header agrees.
    #[inline(always)]
    fn take_from_window(self, constants: Constants, class: u32, kind: Kind) -> Option<Block> {
        let memory = self.memory();
        let window = window_of(constants.body, class);
        let bits = memory.own64(window);
        let headers = memory.own32(within(window, window::HEADERS));
        if bits == 0 || headers == 0 {
            return None;
        }
        let blocks = memory.own32(within(window, window::BLOCKS));
        let bit = bits.trailing_zeros();
        let size = u32::from(shape_of(class).size);
        let address = blocks.wrapping_add(bit.wrapping_mul(size));
        // The last byte of the block is in the page of its header, unless a word of the window is damaged.
        if (address.wrapping_add(size).wrapping_sub(1) ^ headers) >= PAGE {
            return None;
        }
        let header_at = headers.wrapping_add(bit.wrapping_mul(8));
        let header = Header(memory.own64(header_at));
        if header.is_taken() && !hands_out_twice() {
            return None;
        }
        let block = Block { address, generation: header.generation() };
        self.record(record::NEW, block.to_word());
        memory.set_own64(header_at, Header::raw(constants.stamp, kind, block.generation).0);
        memory.set_own64(window, if hands_out_twice() { bits } else { bits & bits.wrapping_sub(1) });
        Some(block)
    }

    /// The slab whose blocks the window of `class` holds, or 0.
    #[inline(always)]
    fn current(self, body: Address, class: u32) -> Address {
        self.memory().own32(within(window_of(body, class), window::HEADERS)) & !0xFFFF
    }

    /// Moves a bitmap word of an own slab into the window of its class.
    fn open_window(self, word_at: Address, class: u32) {
        let memory = self.memory();
        let shape = shape_of(class);
        let at = word_at & !0xFFFF;
        // Eight blocks for each byte of the bitmap.
        let first = word_at.wrapping_sub(shape.bitmap(at)).wrapping_mul(8);
        let window = window_of(self.body(), class);
        // Whatever the bytes of the slab say, no bit is beyond its blocks.
        let bits = memory.own64(word_at) & shape.full(first >> 6);
        memory.set_own32(window.wrapping_add(window::HEADERS), at.wrapping_add(shape.header(first)));
        memory.set_own32(window.wrapping_add(window::BLOCKS), at.wrapping_add(shape.block(first)));
        memory.set_own64(window, bits);
        memory.set_own64(word_at, 0);
    }

    #[cold]
    #[inline(never)]
    fn take_small_slowly(self, class: u32, kind: Kind) -> Result<Block> {
        let constants = self.constants(self.body());
        // A word that disagrees with the headers is made anew, once a slab.
        for _ in 0..self.limit() {
            let current = self.current(constants.body, class);
            if self.memory().own64(window_of(constants.body, class)) != 0 && self.is_own_slab(current, class) {
                self.relist(current, class, false);
            }
            let word_at = self.refill(class)?;
            self.open_window(word_at, class);
            if let Some(block) = self.take_from_window(constants, class, kind) {
                return Ok(block);
            }
        }
        Err(self.out_of_memory(u64::from(shape_of(class).size)))
    }

    /// Frees the block at `address`, whose page word is `word`, if its header has `generation` (or any, for `None`).
    /// Answers the header that it had.
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
    ) -> Result<Header> {
        let own = word.0 & PageWord::OWN == constants.own;
        let at = address & !0xFFFF;
        let shape = shape_of(word.class());
        let Some(index) = shape.index(address & 0xFFFF) else {
            return Err(Error::not_allocated(address));
        };
        let memory = self.memory();
        let header_at = at.wrapping_add(shape.header(index));
        // Another agent that frees the same block at this moment changes both halves: a torn word is refused, too.
        let header = Header(if own { memory.own64(header_at) } else { memory.load64(header_at) });
        if !header.is_taken() || generation.is_some_and(|generation| generation != header.generation()) {
            return Err(Error::not_allocated(address));
        }
        self.record(record::OLD, Block { address, generation: header.generation() }.to_word());
        if !own {
            return self.free_elsewhere(at, word.class(), index, header).map(|()| header);
        }
        memory.set_own64(header_at, Header::free(header.generation().wrapping_add(1)).0);
        if self.keeps_blocks() {
            return Ok(header);
        }
        let word_at = shape.bitmap(at).wrapping_add((index >> 6).wrapping_mul(8));
        let before = memory.own64(word_at);
        memory.set_own64(word_at, before | 1u64.wrapping_shl(index & 63));
        if self.current(constants.body, word.class()) != at {
            self.note_freed(at, word.class(), index, before);
        }
        Ok(header)
    }

    /// A slab that is not the current one has room, or has become empty: then its page goes back.
    #[inline(never)]
    fn note_freed(self, at: Address, class: u32, index: u32, before: u64) {
        let shape = shape_of(class);
        if before == 0 {
            self.memory().set_own32(self.class_word(body::HINT, class), at);
        }
        let word = index >> 6;
        let bits = before | 1u64.wrapping_shl(index & 63);
        if bits == shape.full(word) && self.free_of(at, class) == u32::from(shape.count) {
            self.unlink(at, class);
            self.release_page(at / PAGE);
        }
    }

    /// How many blocks the bitmap of a slab calls free.
    pub(crate) fn free_of(self, at: Address, class: u32) -> u32 {
        let shape = shape_of(class);
        (0..shape.words()).fold(0u32, |free, word| {
            let bits = self.memory().own64(shape.bitmap(at).wrapping_add(word.wrapping_mul(8)));
            free.wrapping_add(bits.count_ones())
        })
    }

    /// Frees a block of another agent's slab: the header decides, the bit of the page is a hint for the owner.
    #[cold]
    #[inline(never)]
    fn free_elsewhere(self, at: Address, class: u32, index: u32, header: Header) -> Result<()> {
        let memory = self.memory();
        let shape = shape_of(class);
        let header_at = at.wrapping_add(shape.header(index));
        #[cfg(feature = "controls")]
        if crate::controls::active(crate::controls::Control::RemoteFreeLost) {
            // Seeded bug: the block comes back to nobody.
            return Ok(());
        }
        let mut header = header;
        // Again only when its maker published it meanwhile: twice at most.
        let freed = loop {
            let loose = Header::free(header.generation().wrapping_add(1));
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
            return Err(Error::not_allocated(at.wrapping_add(shape.block(index))));
        }
        self.freed_hints().set(at / PAGE);
        Ok(())
    }

    /// Puts what others freed in an own slab into its bitmap: one load a block. Answers a bitmap word that has a block.
    pub(crate) fn collect(self, at: Address, class: u32) -> Option<Address> {
        let memory = self.memory();
        let shape = shape_of(class);
        if self.freed_hints().has(at / PAGE) {
            // Cleared before the headers are read: who frees later sets it again.
            self.freed_hints().clear(at / PAGE);
            for word in 0..shape.words() {
                let word_at = shape.bitmap(at).wrapping_add(word.wrapping_mul(8));
                let bits = self.free_blocks(at, shape, word);
                if memory.own64(word_at) != bits {
                    memory.set_own64(word_at, bits);
                }
            }
        }
        let mut words = (0..shape.words()).map(|word| shape.bitmap(at).wrapping_add(word.wrapping_mul(8)));
        words.find(|&word_at| memory.own64(word_at) != 0)
    }

    /// The blocks of one bitmap word whose headers say free.
    fn free_blocks(self, at: Address, shape: &Class, word: u32) -> u64 {
        let first = word.wrapping_mul(64);
        let end = u32::from(shape.count).min(first.wrapping_add(64));
        (first..end).fold(0u64, |bits, index| {
            let header = Header(self.memory().load64_ordered(at.wrapping_add(shape.header(index))));
            let usable = !header.is_taken() && !self.is_kept_block(at / PAGE, header);
            bits | u64::from(usable).wrapping_shl(index & 63)
        })
    }

    /// Makes the bitmap of an own slab anew from its headers; answers how many blocks are taken. One load a block.
    ///
    /// Raw blocks are kept: the caller's operation may hold them.
    pub(crate) fn rebuild(self, at: Address, class: u32) -> u32 {
        self.relist(at, class, false)
    }

    /// As `rebuild`, and frees the raw blocks: their maker is gone, or its operation was cut short.
    pub(crate) fn rebuild_swept(self, at: Address, class: u32) -> u32 {
        self.relist(at, class, true)
    }

    #[inline(never)]
    fn relist(self, at: Address, class: u32, sweeps: bool) -> u32 {
        let memory = self.memory();
        let shape = shape_of(class);
        if self.current(self.body(), class) == at {
            // What the window holds is listed again.
            close_window(self, class);
        }
        let mut taken = 0u32;
        for word in 0..shape.words() {
            let first = word.wrapping_mul(64);
            let end = u32::from(shape.count).min(first.wrapping_add(64));
            let mut bits = 0u64;
            for index in first..end {
                let header_at = at.wrapping_add(shape.header(index));
                let header = Header(memory.load64(header_at));
                if header.is_taken() && !(sweeps && header.state() == State::Raw) {
                    taken = taken.wrapping_add(1);
                    continue;
                }
                if header.is_taken() {
                    memory.set_own64(header_at, Header::free(header.generation().wrapping_add(1)).0);
                }
                if !self.keeps_blocks() || !self.is_kept_block(at / PAGE, Header(memory.own64(header_at))) {
                    bits |= 1u64.wrapping_shl(index & 63);
                }
            }
            let word_at = shape.bitmap(at).wrapping_add(word.wrapping_mul(8));
            if memory.own64(word_at) != bits {
                memory.set_own64(word_at, bits);
            }
        }
        taken
    }

    /// A bitmap word that has a block of `class`: what others freed, what the ring holds, an ownerless slab, a new page.
    fn refill(self, class: u32) -> Result<Address> {
        let memory = self.memory();
        let current = self.current(self.body(), class);
        if self.is_own_slab(current, class)
            && let Some(found) = self.collect(current, class)
        {
            return Ok(found);
        }
        let hint = memory.own32(self.class_word(body::HINT, class));
        if hint != 0 {
            memory.set_own32(self.class_word(body::HINT, class), 0);
            if self.is_own_slab(hint, class)
                && let Some(found) = self.collect(hint, class)
            {
                return Ok(found);
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
            None => Err(self.out_of_memory(u64::from(shape_of(class).size))),
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
            let next = self.memory().own32(ring_word(at, class, slab::NEXT));
            self.memory().set_own32(ring, next);
            if let Some(found) = self.collect(at, class) {
                return Some(found);
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
            memory.set_own32(ring_word(at, class, slab::NEXT), at);
            memory.set_own32(ring_word(at, class, slab::PREVIOUS), at);
            memory.set_own32(ring, at);
            return;
        }
        let found = memory.own32(ring_word(next, class, slab::PREVIOUS));
        let previous = if self.is_own_slab(found, class) { found } else { next };
        memory.set_own32(ring_word(at, class, slab::NEXT), next);
        memory.set_own32(ring_word(at, class, slab::PREVIOUS), previous);
        memory.set_own32(ring_word(previous, class, slab::NEXT), at);
        memory.set_own32(ring_word(next, class, slab::PREVIOUS), at);
    }

    /// Takes an own slab out of the ring of its class.
    pub(crate) fn unlink(self, at: Address, class: u32) {
        let memory = self.memory();
        let next = memory.own32(ring_word(at, class, slab::NEXT));
        let previous = memory.own32(ring_word(at, class, slab::PREVIOUS));
        let rest = if next == at { 0 } else { next };
        if rest != 0 && self.is_own_slab(next, class) && self.is_own_slab(previous, class) {
            memory.set_own32(ring_word(next, class, slab::PREVIOUS), previous);
            memory.set_own32(ring_word(previous, class, slab::NEXT), next);
        }
        memory.set_own32(self.class_word(body::RING, class), rest);
        if memory.own32(self.class_word(body::HINT, class)) == at {
            memory.set_own32(self.class_word(body::HINT, class), 0);
        }
        if self.current(self.body(), class) == at {
            close_window(self, class);
        }
    }

    /// Makes a private page a slab of `class`, all its blocks free. Answers its first bitmap word.
    fn make_slab(self, page: u32, class: u32) -> Address {
        let memory = self.memory();
        let at = page::address(page);
        let shape = shape_of(class);
        let word = self.page_word(page);
        let free = Header::free(self.first_generation(page));
        for index in 0..u32::from(shape.count) {
            memory.set_own64(at.wrapping_add(shape.header(index)), free.0);
        }
        for word in 0..shape.words() {
            memory.set_own64(shape.bitmap(at).wrapping_add(word.wrapping_mul(8)), shape.full(word));
        }
        let slab_word = PageWord::owned(PageKind::Slab, word.generation(), class, self.index(), self.tenure());
        self.publish_page(page, slab_word);
        self.link(at, class);
        shape.bitmap(at)
    }

    /// Takes one ownerless slab of `class` that has room, if there are any since the last fruitless search. Answers a
    /// bitmap word that has a block.
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
                && let Some((at, _)) = self.adopt_page(page, word)
                && let Some(found) = self.collect(at, class)
            {
                return Some(found);
            }
        }
        self.memory().set_own32(searched, orphaned);
        None
    }

    /// Takes the slab of `page` if it is ownerless: exchanges the page word, then makes the bitmap anew from the headers
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
            // Seeded bug: trusts the dead owner's bitmap.
            self.link(at, word.class());
            let free = self.free_of(at, word.class());
            return Some((at, u32::from(shape_of(word.class()).count).wrapping_sub(free)));
        }
        let taken = self.rebuild_swept(at, word.class());
        self.link(at, word.class());
        Some((at, taken))
    }

    /// The header word of the block that starts at `address` in a slab with this page word.
    pub(crate) fn small_header(self, address: Address, word: PageWord) -> Option<Address> {
        let shape = shape_of(word.class());
        let index = shape.index(address & 0xFFFF)?;
        Some((address & !0xFFFF).wrapping_add(shape.header(index)))
    }
}
