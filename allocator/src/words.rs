//! The four words that are truth, and how their bits are laid out: block header, page word, granule word, slot word.

use crate::sync::{Address, Memory};

/// What a block is for. A tag in its header: who walks the heap knows by it how to read the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Handed out by `GlobalAlloc` or `Allocator`: belongs to a Rust program, is never taken back by a death.
    Rust = 1,
    /// One bucket of the name directory.
    Names = 2,
    /// A region of bytes.
    Bytes = 3,
    /// The lines of HTTP fields.
    Fields = 4,
    /// The objects that an agent has references to.
    Holdings = 5,
    /// A value that has no place in its word: a string, bytes, a big integer.
    String = 6,
    /// The table of atoms.
    Atoms = 7,
    /// A part of a map or of a list.
    Map = 8,
    /// A reference to an object that the agent of the header's slot is giving up.
    Dropped = 9,
    /// A part of a pipe: its head, or bytes in it.
    Pipe = 10,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Rust,
        Self::Names,
        Self::Bytes,
        Self::Fields,
        Self::Holdings,
        Self::String,
        Self::Atoms,
        Self::Map,
        Self::Dropped,
        Self::Pipe,
    ];

    /// The kind of a tag read from the heap, or `None`.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == tag)
    }
}

/// The state of a small or middle block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Free.
    Free = 0,
    /// Taken, private to its maker's operation: nobody else knows it.
    Raw = 2,
    /// Taken and published (or about to be, and named by a record).
    Live = 3,
}

/// The address of a page as it stands where the heap leads from one of its own tables to another: the number of the page in both
/// halves of the word, so that a damaged one is told from one that is whole. 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageName(pub u32);

impl PageName {
    /// The name of the page at `at`.
    #[must_use]
    pub fn of(at: Address) -> Self {
        Self(at | at >> 16)
    }

    /// Whether it names a page, or none.
    #[inline(always)]
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.0 == self.0.rotate_left(16)
    }

    /// Where the page is; 0: it names none, or nobody knows which.
    #[inline(always)]
    #[must_use]
    pub fn address(self) -> Address {
        if self.is_whole() { self.0 & !0xFFFF } else { 0 }
    }

    /// Where the page is, or 0, for who would write there: a damaged name stops the agent, by a trap.
    #[inline(always)]
    #[must_use]
    pub fn follow(self, memory: Memory) -> Address {
        if !self.is_whole() {
            memory.trap();
        }
        self.0 & !0xFFFF
    }
}

/// A block's header word: generation 32 | slot 16 | kind 8 | state 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub u64);

impl Header {
    /// What the headers of all raw blocks of `slot` have in common.
    #[must_use]
    pub fn stamp(slot: u32) -> Self {
        Self((slot as u64) << 32 | (State::Raw as u64) << 56)
    }

    /// The header of a raw block, from what it shares with its maker's others.
    #[inline(always)]
    #[must_use]
    pub fn raw(stamp: u64, kind: Kind, generation: u32) -> Self {
        Self(stamp | (kind as u64) << 48 | (generation as u64))
    }

    /// A taken block of `slot`.
    #[inline(always)]
    #[must_use]
    pub fn taken(state: State, kind: Kind, slot: u32, generation: u32) -> Self {
        Self((generation as u64) | (slot as u64) << 32 | (kind as u64) << 48 | (state as u64) << 56)
    }

    /// A free block.
    #[inline(always)]
    #[must_use]
    pub fn free(generation: u32) -> Self {
        Self(generation as u64)
    }

    /// A free middle block, and who freed it.
    #[must_use]
    pub fn freed(slot: u32, generation: u32) -> Self {
        Self((generation as u64) | (slot as u64) << 32)
    }

    /// Changes whenever the block is freed.
    #[inline(always)]
    #[must_use]
    pub fn generation(self) -> u32 {
        self.0 as u32
    }

    /// The maker's slot of a taken block; of a free middle block, who freed it.
    #[inline(always)]
    #[must_use]
    pub fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFFF
    }

    /// The state.
    #[inline(always)]
    #[must_use]
    pub fn state(self) -> State {
        match (self.0 >> 56) & 3 {
            0 | 1 => State::Free,
            2 => State::Raw,
            _ => State::Live,
        }
    }

    /// Taken: raw or live.
    #[inline(always)]
    #[must_use]
    pub fn is_taken(self) -> bool {
        self.0 & (2 << 56) != 0
    }

    /// The kind's tag.
    #[inline(always)]
    #[must_use]
    pub fn kind(self) -> u8 {
        (self.0 >> 48) as u8
    }

    /// The same block, published.
    #[inline(always)]
    #[must_use]
    pub fn live(self) -> Self {
        Self(self.0 | (1 << 56))
    }
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageKind {
    /// Not ours: below the control area, grown by others, or not grown yet.
    Foreign = 0,
    /// Ours and free.
    Free = 1,
    /// Claimed by {slot, tenure} and not what it is going to be yet.
    Private = 2,
    /// A slab of a class, owned by {slot, tenure}.
    Slab = 3,
    /// Granules, owned by nobody.
    Granules = 4,
    /// First page of a run.
    Run = 5,
    /// Another page of a run, or of one being claimed or freed.
    RunBody = 6,
    /// Control area and slots: for ever.
    Control = 7,
    /// Object table: for ever.
    Objects = 8,
    /// The body of a slot: for ever.
    Body = 9,
    /// A page of the private arena of {slot, incarnation}.
    Arena = 10,
}

/// A page word: kind 4 | generation 20 | then by kind:
/// private, slab: class 8 | slot 12 | tenure 20; run: length 16 | slot 12 | kind 8 | live 1;
/// body of a run: distance from the first page 16 | slot 12; arena: 8 unused | slot 12 | incarnation 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWord(pub u64);

impl PageWord {
    const RUN_LIVE: u64 = 1 << 60;
    /// The bits that say whose slab it is.
    pub const OWN: u64 = 0xF | 0xFFFF_FFFF << 32;

    fn plain(kind: PageKind, generation: u32) -> Self {
        Self(kind as u64 | ((generation & 0xF_FFFF) as u64) << 4)
    }

    /// A free page.
    #[must_use]
    pub fn free(generation: u32) -> Self {
        Self::plain(PageKind::Free, generation)
    }

    /// A page of a kind that says nothing more.
    #[must_use]
    pub fn simple(kind: PageKind, generation: u32) -> Self {
        Self::plain(kind, generation)
    }

    /// A page owned by {slot, tenure}: private or slab.
    #[must_use]
    pub fn owned(kind: PageKind, generation: u32, class: u32, slot: u32, tenure: u32) -> Self {
        Self(Self::plain(kind, generation).0 | ((class & 0xFF) as u64) << 24 | Self::owner(slot, tenure))
    }

    fn owner(slot: u32, tenure: u32) -> u64 {
        ((slot & 0xFFF) as u64) << 32 | ((tenure & 0xF_FFFF) as u64) << 44
    }

    /// What [`PageWord::OWN`] selects in the word of every slab of {slot, tenure}.
    #[must_use]
    pub fn own(slot: u32, tenure: u32) -> u64 {
        PageKind::Slab as u64 | Self::owner(slot, tenure)
    }

    /// The first page of a run of `length` pages.
    #[must_use]
    pub fn run(generation: u32, length: u32, slot: u32, kind: Kind, live: bool) -> Self {
        let live = if live { Self::RUN_LIVE } else { 0 };
        Self(
            Self::plain(PageKind::Run, generation).0
                | ((length & 0xFFFF) as u64) << 24
                | ((slot & 0xFFF) as u64) << 40
                | (kind as u64) << 52
                | live,
        )
    }

    /// A page `distance` behind the first of a run that `slot` makes or made; at distance 0, the first of one being freed.
    #[must_use]
    pub fn run_body(generation: u32, distance: u32, slot: u32) -> Self {
        Self(
            Self::plain(PageKind::RunBody, generation).0
                | ((distance & 0xFFFF) as u64) << 24
                | ((slot & 0xFFF) as u64) << 40,
        )
    }

    /// The kind; an unknown tag counts as foreign.
    #[inline(always)]
    #[must_use]
    pub fn kind(self) -> PageKind {
        match self.0 & 0xF {
            1 => PageKind::Free,
            2 => PageKind::Private,
            3 => PageKind::Slab,
            4 => PageKind::Granules,
            5 => PageKind::Run,
            6 => PageKind::RunBody,
            7 => PageKind::Control,
            8 => PageKind::Objects,
            9 => PageKind::Body,
            10 => PageKind::Arena,
            _ => PageKind::Foreign,
        }
    }

    /// Whether words of structures stand in such a page: in blocks, in entries of the object table, in the control area, slots and bodies.
    #[inline(always)]
    #[must_use]
    pub fn has_words(self) -> bool {
        #[cfg(feature = "controls")]
        if crate::controls::active(crate::controls::Control::AnyPage) {
            // Seeded bug: also in one that is somebody else's.
            return true;
        }
        (PageKind::Slab as u64..=PageKind::Body as u64).contains(&(self.0 & 0xF))
    }

    /// Changes whenever the page becomes something else.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 4) as u32 & 0xF_FFFF
    }

    /// The generation after this one.
    #[must_use]
    pub fn next_generation(self) -> u32 {
        self.generation().wrapping_add(1) & 0xF_FFFF
    }

    /// The size class of a slab. Below 32: a stray value is masked.
    #[inline(always)]
    #[must_use]
    pub fn class(self) -> u32 {
        (self.0 >> 24) as u32 & 31
    }

    /// The owner's slot of a private page, slab or arena page.
    #[must_use]
    pub fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFF
    }

    /// The owner's tenure (or incarnation), 20 bits.
    #[must_use]
    pub fn tenure(self) -> u32 {
        (self.0 >> 44) as u32
    }

    /// Pages of a run; distance of a body page.
    #[must_use]
    pub fn length(self) -> u32 {
        (self.0 >> 24) as u32 & 0xFFFF
    }

    /// The maker's slot of a run or of one of its body pages.
    #[must_use]
    pub fn run_slot(self) -> u32 {
        (self.0 >> 40) as u32 & 0xFFF
    }

    /// The kind's tag of a run.
    #[must_use]
    pub fn run_kind(self) -> u8 {
        (self.0 >> 52) as u8
    }

    /// A published run.
    #[must_use]
    pub fn is_run_live(self) -> bool {
        self.0 & Self::RUN_LIVE != 0
    }

    /// The same run, published.
    #[must_use]
    pub fn run_live(self) -> Self {
        Self(self.0 | Self::RUN_LIVE)
    }
}

/// A granule word: used 16 | starts 16 | claimant's slot 12 | generation 20. Bit 0 is the granule of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GranuleWord(pub u64);

impl GranuleWord {
    const GENERATION: u32 = 0xF_FFFF;

    fn new(low: u64, claimant: u32, generation: u32) -> Self {
        Self(low | ((claimant & 0xFFF) as u64) << 32 | ((generation & Self::GENERATION) as u64) << 44)
    }

    /// An empty page of granules.
    #[must_use]
    pub fn open(generation: u32) -> Self {
        Self::new(1, 0xFFF, generation)
    }

    /// No page of granules (any more): nothing can be claimed.
    #[must_use]
    pub fn closed(generation: u32) -> Self {
        Self::new(0xFFFF, 0xFFF, generation)
    }

    /// Taken granules.
    #[must_use]
    pub fn used(self) -> u32 {
        self.0 as u32 & 0xFFFF
    }

    /// Granules where a block starts.
    #[must_use]
    pub fn starts(self) -> u32 {
        (self.0 >> 16) as u32 & 0xFFFF
    }

    /// Changes with each claim.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 44) as u32
    }

    /// The generation after this one.
    #[must_use]
    pub fn next_generation(self) -> u32 {
        self.generation().wrapping_add(1) & Self::GENERATION
    }

    /// Who claimed last.
    #[must_use]
    pub fn claimant(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFF
    }

    /// Nothing but the headers is taken.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 as u32 == 1
    }

    /// Closed for good.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.used() == 0xFFFF && self.starts() == 0
    }

    /// The first run of `count` free granules, or `None`.
    #[must_use]
    pub fn room(self, count: u32) -> Option<u32> {
        let mut free = !self.used() & 0xFFFF;
        for _ in 1..count {
            free &= free >> 1;
        }
        (free != 0).then(|| free.trailing_zeros())
    }

    /// `count` granules from `start` taken by `claimant`, one block.
    #[must_use]
    pub fn claimed(self, start: u32, count: u32, claimant: u32) -> Self {
        let bits = Self::mask(start, count) & 0xFFFF | 1u64.wrapping_shl(start.wrapping_add(16));
        Self::new(self.0 & 0xFFFF_FFFF | bits, claimant, self.next_generation())
    }

    fn mask(start: u32, count: u32) -> u64 {
        1u64.wrapping_shl(count).wrapping_sub(1).wrapping_shl(start)
    }

    /// Granules of the block that starts at `start`, or 0 when none starts there.
    #[must_use]
    pub fn count(self, start: u32) -> u32 {
        if self.starts().wrapping_shr(start) & 1 == 0 {
            return 0;
        }
        let behind = start.wrapping_add(1);
        // The block ends where another starts or a granule is free.
        let stops = (self.starts() | !self.used()).wrapping_shr(behind) | 1u32.wrapping_shl(15u32.wrapping_sub(start));
        stops.trailing_zeros().wrapping_add(1)
    }

    /// The bits that freeing the block at `start` clears.
    #[must_use]
    pub fn block(self, start: u32) -> u64 {
        Self::mask(start, self.count(start)) & 0xFFFF | 1u64.wrapping_shl(start.wrapping_add(16))
    }
}

/// A slot word: flags 16 | tenure 24 | incarnation 24.
///
/// *Tenure* changes when an offline agent's slabs are taken from it, *incarnation* when the slot gets another agent.
/// Going online is one compare-exchange from the exact word the agent knows, so it notices both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotWord(pub u64);

impl SlotWord {
    /// Flag: an operation is open, or the agent stays online until its turn ends.
    pub const ONLINE: u64 = 1;
    /// Flag: the agent is to die and may not begin another operation.
    pub const CONDEMNED: u64 = 2;
    /// Flag: an audit wants the agent to stay offline.
    pub const GATE: u64 = 4;
    /// Flag: an agent has the slot.
    pub const ATTACHED: u64 = 8;
    /// Flag: the last incarnation is used up.
    pub const RETIRED: u64 = 16;
    /// Flag: condemned for good, and what the agent left is ended, or cannot be: the seat is kept from others until its
    /// thread is known to have ended.
    pub const KEPT: u64 = 32;
    const LAST: u32 = 0xFF_FFFF;

    /// A word.
    #[must_use]
    pub fn new(flags: u64, tenure: u32, incarnation: u32) -> Self {
        Self(flags | ((tenure & Self::LAST) as u64) << 16 | ((incarnation & Self::LAST) as u64) << 40)
    }

    /// Has this flag.
    #[must_use]
    pub fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// Whether what the agent holds is its own still: it is online, or was condemned and has not been reaped, so that it may have stopped in the
    /// middle of an operation ([`crate::Agent::surrender`]).
    #[inline]
    #[must_use]
    pub fn may_be_inside(self) -> bool {
        self.has(Self::ONLINE) || self.0 & (Self::CONDEMNED | Self::KEPT) == Self::CONDEMNED
    }

    /// The tenure.
    #[must_use]
    pub fn tenure(self) -> u32 {
        (self.0 >> 16) as u32 & Self::LAST
    }

    /// The incarnation.
    #[must_use]
    pub fn incarnation(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// Free again, for the next agent; retired when its incarnations are used up.
    #[must_use]
    pub fn freed(self) -> Self {
        let flags = if self.incarnation() == Self::LAST { Self::RETIRED } else { 0 };
        Self::new(flags, self.tenure().wrapping_add(1), self.incarnation().wrapping_add(1))
    }

    /// With the next tenure.
    #[must_use]
    pub fn revoked(self) -> Self {
        Self::new(self.0 & 0xFFFF, self.tenure().wrapping_add(1), self.incarnation())
    }
}
