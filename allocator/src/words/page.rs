//! What stands in the page table, and what leads to a page from elsewhere.

use super::Kind;
use crate::sync::{Address, Memory};

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
