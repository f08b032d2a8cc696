//! The seats of the dead: who is condemned never enters again; who is proven not to run gives up the seat to whoever ends
//! what it left and gives back what it had.
//!
//! `ALIVE → CONDEMNED → taken over → FREE`. To take a seat over is to become its next agent, with all that its last one
//! left there: the incarnation rises, so that a zombie never enters, and what the dead agent itself would do after an
//! exception ([`Agent::recover`]) and before it leaves ([`Agent::detach`]) is done for it. All of that is idempotent, so whoever
//! takes over may die, too: then the seat is another's to take over, once nobody sits in the seat of the one who did.

use crate::agent::Agent;
use crate::layout::{control, slot};
use crate::slot as slots;
use crate::sync::{Address, Memory};
use crate::words::{PageWord, SlotWord};

/// Who takes a seat over: index 12 · incarnation 24, and the incarnation of the one who had it 24.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reaper(u64);

impl Reaper {
    fn new(by: Agent, of: u32) -> Self {
        let of = u64::from(of & 0xFF_FFFF);
        Self(u64::from(by.index() & 0xFFF) | u64::from(by.incarnation() & 0xFF_FFFF) << 12 | of << 36)
    }

    fn of(self) -> u32 {
        (self.0 >> 36) as u32 & 0xFF_FFFF
    }

    /// Whether the agent of this incarnation is at work for the dead.
    fn acts_as(self, incarnation: u32) -> bool {
        self.0 != 0 && self.of().wrapping_add(1) == incarnation
    }

    fn is_by(self, other: Self) -> bool {
        const BY: u64 = (1 << 36) - 1;
        self.0 & BY == other.0 & BY
    }

    /// Whether its seat is somebody else's by now, or nobody's: then it does not run any more, or has left.
    fn is_gone(self, memory: Memory, control: Address) -> bool {
        let Some(at) = slots::find(memory, control, self.0 as u32 & 0xFFF) else { return true };
        let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
        !word.has(SlotWord::ATTACHED) || word.incarnation() != (self.0 >> 12) as u32 & 0xFF_FFFF
    }
}

/// From here on the agent of this slot and incarnation begins no operation; whether it had the seat still. Whether it is in one
/// now its slot word says. Never blocks.
pub fn condemn(memory: Memory, at: Address, incarnation: u32) -> bool {
    let reaper = Reaper(memory.load64_ordered(at.wrapping_add(slot::REAPER)));
    if reaper.acts_as(incarnation) {
        return false;
    }
    let at = at.wrapping_add(slot::WORD);
    let mut found = SlotWord(memory.load64_ordered(at));
    // Another round means that the agent went online or offline, or that another agent wants something of it.
    while found.has(SlotWord::ATTACHED) && found.incarnation() == incarnation {
        if found.has(SlotWord::CONDEMNED) {
            return true;
        }
        match memory.compare_exchange64(at, found.0, found.0 | SlotWord::CONDEMNED) {
            Ok(_) => return true,
            Err(now) => found = SlotWord(now),
        }
    }
    false
}

/// The first agent of a life: its slot and incarnation. Loads only; at most one look at each slot.
#[must_use]
pub fn of_life(memory: Memory, control: Address, life: u64) -> Option<(Address, u32)> {
    // One that died while it attached counts, too.
    slots::each(memory, control, |_, at| {
        let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
        let is_of = life != 0 && word.has(SlotWord::ATTACHED) && memory.load64(at.wrapping_add(slot::LIFE)) == life;
        is_of.then_some((at, word.incarnation()))
    })
}

/// The first seat that [`is_left`]. Loads only; at most two looks at each slot.
#[must_use]
pub fn left(memory: Memory, control: Address) -> Option<(Address, u32)> {
    slots::each_used(memory, control, |_, at| {
        let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
        is_left(memory, control, at).then_some((at, word.incarnation()))
    })
}

/// Whether a seat was taken over by an agent that is gone itself.
#[must_use]
pub fn is_left(memory: Memory, control: Address, at: Address) -> bool {
    let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
    let reaper = Reaper(memory.load64_ordered(at.wrapping_add(slot::REAPER)));
    word.has(SlotWord::ATTACHED) && reaper.acts_as(word.incarnation()) && reaper.is_gone(memory, control)
}

impl Agent {
    /// Takes the seat of the agent of this slot and incarnation over, for good: the answer is its next agent, online,
    /// whose last operation was cut short. `None`: it has left, or another agent is at it. Never blocks.
    ///
    /// Then [`Agent::recover`] and [`Agent::detach`], or, of one that never sat down ([`Agent::is_seated`]),
    /// [`Agent::abandon`]; in the same call of this thread, and outside any operation of the caller's.
    ///
    /// # Safety
    /// The agent's thread does not run any code of this heap and never will: it has ended, or it is [`is_left`].
    #[must_use]
    pub unsafe fn take_over(self, at: Address, incarnation: u32) -> Option<Self> {
        let memory = self.memory();
        let reaper_at = at.wrapping_add(slot::REAPER);
        let seen = Reaper(memory.load64_ordered(reaper_at));
        let mine = Reaper::new(self, incarnation);
        let is_anothers = seen.0 != 0 && (seen.of() == incarnation || seen.acts_as(incarnation)) && !seen.is_by(mine);
        if is_anothers && !seen.is_gone(memory, self.control()) {
            return None;
        }
        memory.compare_exchange64(reaper_at, seen.0, mine.0).ok()?;
        let word_at = at.wrapping_add(slot::WORD);
        let mut found = SlotWord(memory.load64_ordered(word_at));
        loop {
            let next = incarnation.wrapping_add(1) & 0xFF_FFFF;
            if !found.has(SlotWord::ATTACHED) || found.incarnation() != incarnation || next == 0 {
                return None;
            }
            let online = SlotWord::new(SlotWord::ATTACHED | SlotWord::ONLINE, found.tenure(), next);
            // Others only set or clear flags: a handful of rounds.
            match memory.compare_exchange64(word_at, found.0, online.0) {
                Ok(_) => return Some(self.sit_down(at, online)),
                Err(now) => found = SlotWord(now),
            }
        }
    }

    /// The words of a seat that was taken over, as its agent has them.
    fn sit_down(self, at: Address, online: SlotWord) -> Self {
        let memory = self.memory();
        // An audit that had found the agent offline begins again.
        memory.fetch_add32(self.control_field(control::DISTURBED), 1);
        // SAFETY: I-14, I-28 the exchange gave that incarnation of the slot to this thread.
        let agent = unsafe { Self::from_slot(memory, at, online.incarnation()) };
        let offline = SlotWord::new(SlotWord::ATTACHED, online.tenure(), online.incarnation());
        memory.set_own64(at.wrapping_add(slot::OWN), PageWord::own(agent.index(), online.tenure()));
        memory.set_own64(at.wrapping_add(slot::OFFLINE), offline.0);
        memory.set_own64(at.wrapping_add(slot::EXPECTED), online.0);
        agent
    }

    /// Nobody takes the seat any more: what its last agent left cannot be ended.
    pub fn quarantine(self) {
        self.memory().fetch_or64(self.field(slot::WORD), SlotWord::CONDEMNED);
    }

    /// Whether the seat has its body: not if its agent died while it attached.
    #[must_use]
    pub fn is_seated(self) -> bool {
        self.body() != 0
    }

    /// Whether an operation of the agent was cut short, so that [`Agent::recover`] has something to decide.
    #[must_use]
    pub fn was_inside(self) -> bool {
        self.memory().own32(self.field(slot::DEPTH)) != 0
    }
}
