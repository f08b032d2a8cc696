//! What stands for an agent: whether it is online, and what others want of it.

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
