//! When what was taken out of a map or a list may be freed.
//!
//! It may still be in the hands of another agent. So a structure has an *era*, which who takes something out raises
//! afterwards; what is in it says in which era it was *made*; and an agent that changes it holds it ([`crate::hold`]) and has two
//! eras in its slot: the *first*, in which it began, and the *last* that it has seen. What was taken out is met by nobody, and freed,
//! if each agent at work began when there was no way to it any more, or has not come to the era in which it was made.
//!
//! An agent that has followed words of the structure looks whether the era is still its last one ([`covers`]), before it writes
//! to what it found. If not, it says so in its slot, and searches anew, from the structure's head: what it found may have been
//! freed, and was only read. Both sides look after they wrote, in the one order of all. So one that stands still keeps from
//! being freed what was there when it stopped, and nothing that came afterwards.
//!
//! That is interval-based reclamation (Wen, Izraelevitz, Cai, Beadle and Scott 2018), with an era for each structure.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Memory, Operation, slot as slots};

use crate::hold;
use crate::object::{ERA, Handle};

/// The two eras of an agent at work, in one word; 0: it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Eras(u64);

impl Eras {
    /// Bits of how many eras lie between the two.
    const SPAN: u32 = 20;
    /// As many, or more: the last one is that of any moment.
    const ALL: u64 = (1 << Self::SPAN) - 1;

    /// Both are this one.
    fn new(era: u64) -> Self {
        // Of a first one that has no room it says that it is older, and has no last one.
        if era < u64::MAX >> Self::SPAN { Self((era + 1) << Self::SPAN) } else { Self(1 << Self::SPAN | Self::ALL) }
    }

    fn first(self) -> u64 {
        (self.0 >> Self::SPAN).wrapping_sub(1)
    }

    fn last(self) -> u64 {
        let span = self.0 & Self::ALL;
        if span == Self::ALL { u64::MAX } else { self.first().saturating_add(span) }
    }

    fn until(self, era: u64) -> Self {
        let span = era.saturating_sub(self.first()).min(Self::ALL);
        Self(self.0 & !Self::ALL | span)
    }

    /// Whether an agent may meet what was made in one era and cannot be found from another on.
    fn meet(self, made: u64, gone: u64) -> bool {
        self.0 != 0 && self.first() < gone && made <= self.last()
    }
}

/// The era of a structure. What is made now was not there before.
pub(crate) fn now(memory: Memory, entry: Address) -> u64 {
    memory.load64(entry.wrapping_add(ERA))
}

/// Begins to work: the era is in the slot, in the one order of all, when this returns; what it answers is it.
#[inline]
pub fn publish(memory: Memory, entry: Address, slot: Address) -> u64 {
    // Another round means that another agent took something out.
    loop {
        let era = memory.load64_ordered(entry.wrapping_add(ERA));
        begin(memory, slot, era);
        if is(memory, entry, era) {
            return era;
        }
    }
}

/// Whether this is the era.
#[inline(always)]
pub(super) fn is(memory: Memory, entry: Address, era: u64) -> bool {
    memory.load64_ordered(entry.wrapping_add(ERA)) == era
}

/// Begins to work in an era that was the structure's a moment ago: what is met from here on stays while the agent works, if [`is`] says
/// afterwards that it is the era still.
#[inline(always)]
pub(super) fn begin(memory: Memory, slot: Address, era: u64) {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::NO_ERA) {
        // Seeded bug: nobody sees that the agent is at work.
        return;
    }
    memory.swap64(slot.wrapping_add(slot::HOLD_ERA), Eras::new(era).0);
}

/// Whether all that an agent at work has met since it began, or since this said so last, stays while it works. If not, what it has met may
/// be freed: it is to search anew, and then look again.
#[inline(never)]
#[must_use]
pub fn covers(memory: Memory, entry: Address, slot: Address) -> bool {
    let at = slot.wrapping_add(slot::HOLD_ERA);
    let era = memory.load64_ordered(entry.wrapping_add(ERA));
    let eras = Eras(memory.own64(at));
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::COVERS_ALL) {
        // Seeded bug: what was made after it began is met, and freed by others.
        return true;
    }
    if era <= eras.last() {
        return true;
    }
    memory.swap64(at, eras.until(era).0);
    false
}

/// Ends the work: what was taken out may be freed by others.
#[inline]
pub(crate) fn leave(operation: &Operation) {
    end(operation.memory(), operation.agent().slot());
}

/// As [`leave`], of the agent of this slot.
#[inline(always)]
pub(super) fn end(memory: Memory, slot: Address) {
    // A release: an exchange that was made before may otherwise reach memory after it.
    memory.store64(slot.wrapping_add(slot::HOLD_ERA), 0);
}

/// Raises the era and answers it. Lock-free.
pub fn raise(memory: Memory, entry: Address) -> u64 {
    let at = entry.wrapping_add(ERA);
    let mut era = memory.load64_ordered(at);
    // Another round means that another agent raised it.
    loop {
        match memory.compare_exchange64(at, era, era.wrapping_add(1)) {
            Ok(_) => return era.wrapping_add(1),
            Err(found) => era = found,
        }
    }
}

/// The other half: whether the agent of the slot at `at` is at work in the structure and may meet what was made in the era `made` and cannot
/// be found from the era `gone` on.
#[inline]
#[must_use]
pub fn meets(memory: Memory, at: Address, handle: Handle, made: u64, gone: u64) -> bool {
    let eras = Eras(memory.load64_ordered(at.wrapping_add(slot::HOLD_ERA)));
    eras.meet(made, gone) && hold::holds(memory, at, handle)
}

/// Whether an agent, or another one than this, may meet that. One load for each slot that was ever used.
pub(crate) fn is_met(operation: &Operation, handle: Handle, made: u64, gone: u64, by_others: bool) -> bool {
    let memory = operation.memory();
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::FREE_AT_ONCE) {
        // Seeded bug: what was taken out is freed while others are there.
        return false;
    }
    let own = operation.agent().slot();
    let found = slots::each_used(memory, operation.control(), |_, at| {
        (!(by_others && at == own) && meets(memory, at, handle, made, gone)).then_some(())
    });
    found.is_some()
}

#[cfg(test)]
mod tests {
    use super::Eras;

    #[test]
    fn agent_meets_what_was_there_from_its_first_era_to_its_last() {
        let eras = Eras::new(7).until(9);
        assert_eq!((eras.first(), eras.last()), (7, 9));
        for (made, gone, meets) in [(0, 7, false), (0, 8, true), (9, 10, true), (10, 11, false), (7, 7, false)] {
            assert_eq!(eras.meet(made, gone), meets, "made in {made}, gone from {gone} on");
        }
        assert!(!Eras(0).meet(0, u64::MAX), "nobody is at work");
    }

    #[test]
    fn eras_without_room_are_more_than_they_are() {
        let far = Eras::new(3).until(3 + (1 << 20));
        assert_eq!((far.first(), far.last()), (3, u64::MAX));
        for era in [(1 << 44) - 1, 1 << 44, u64::MAX - 1, u64::MAX] {
            assert!(Eras::new(era).meet(era, era.saturating_add(1)), "{era}");
            assert!(Eras::new(era).meet(u64::MAX, u64::MAX), "{era}");
        }
        let last = Eras::new((1 << 44) - 2);
        assert_eq!((last.first(), last.last()), ((1 << 44) - 2, (1 << 44) - 2));
    }
}
