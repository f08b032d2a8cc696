//! The seats of the dead: who is condemned never enters again; who is proven not to run gives up the seat to whoever ends
//! what it left and gives back what it had.
//!
//! `ALIVE → CONDEMNED → taken over → FREE`. To take a seat over is to become its next agent, with all that its last one
//! left there: the incarnation rises, so that a zombie never enters, and what the dead agent itself would do after an
//! exception ([`Agent::recover`]) and before it leaves ([`Agent::detach`]) is done for it. All of that is idempotent, so whoever
//! takes over may die, too: then the seat is another's to take over, once nobody sits in the seat of the one who did.
//!
//! The states of the design are these words: ALIVE is `ATTACHED` alone or with `ONLINE`; CONDEMNED has that flag, too; QUIESCED is condemned and
//! not `ONLINE`, or whatever the word of a thread that has ended; REAPING is an incarnation one above that in `REAPER`, by who stands there; FREE is a
//! word without `ATTACHED`, or, while the thread may run, one that is `KEPT`.
//!
//! Two proofs. The thread has ended: then its seat is anybody's again. Or the *fence*: the agent is condemned and offline, so
//! that it never begins an operation again. Its thread may run, though, and write to what is the seat's own, its stack and its
//! transfer buffer: so then all is given back but the seat, which is *kept* until the thread has ended, too.

use crate::agent::Agent;
use crate::error::Result;
use crate::layout::{body, control, slot};
use crate::reclaim::Pages;
use crate::slot as slots;
use crate::sync::{Address, Memory};
use crate::words::{PageWord, SlotWord};

/// Why nothing is done any more in the name of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its thread has ended.
    Ended,
    /// It is condemned, and offline.
    Fenced,
}

/// A seat, and which of its agents is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Where the slot lies.
    pub slot: Address,
    /// Which of its agents.
    pub incarnation: u32,
}

/// A seat that was taken over.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its next agent.
    pub agent: Agent,
    /// Whether its last one is known to have ended.
    pub proof: Proof,
    /// Not if this agent took it over before, and goes on.
    pub is_new: bool,
    /// Whether all but the seat itself had been given back.
    pub was_kept: bool,
}

/// Who takes a seat over: index 12 · incarnation 24, the incarnation of the one who had it 24, and [`Reaper::SOMEBODY`] until it is
/// done; 0: nobody yet. A value never comes back: who has seen one that is over cannot exchange it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reaper(u64);

impl Reaper {
    /// The first agent of the first seat is somebody, too.
    const SOMEBODY: u64 = 1 << 63;
    /// By the fence alone.
    const FENCED: u64 = 1 << 62;

    fn new(by: Agent, of: u32, proof: Proof) -> Self {
        let of = u64::from(of & 0xFF_FFFF);
        let flags = if proof == Proof::Fenced { Self::SOMEBODY | Self::FENCED } else { Self::SOMEBODY };
        Self(flags | u64::from(by.index() & 0xFFF) | u64::from(by.incarnation() & 0xFF_FFFF) << 12 | of << 36)
    }

    fn of(self) -> u32 {
        (self.0 >> 36) as u32 & 0xFF_FFFF
    }

    fn is_somebody(self) -> bool {
        self.0 & Self::SOMEBODY != 0
    }

    /// Whether the agent of this incarnation is at work for the dead.
    fn acts_as(self, incarnation: u32) -> bool {
        self.is_somebody() && self.of().wrapping_add(1) == incarnation
    }

    /// Whether somebody is about to take the seat of the agent of this incarnation over.
    fn is_said(self, incarnation: u32) -> bool {
        self.is_somebody() && self.of() == incarnation
    }

    fn is_by(self, other: Self) -> bool {
        const BY: u64 = Reaper::SOMEBODY | ((1 << 36) - 1);
        self.0 & BY == other.0 & BY
    }

    fn proof(self) -> Proof {
        if self.0 & Self::FENCED != 0 { Proof::Fenced } else { Proof::Ended }
    }

    /// The same, who knows now that the thread has ended.
    fn ended(self) -> Self {
        Self(self.0 & !Self::FENCED)
    }

    /// The same, who is done.
    fn done(self) -> Self {
        Self(self.0 & !Self::SOMEBODY)
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

/// The first agent of a life that this proof is about. Loads only; at most one look at each slot.
#[must_use]
pub fn of_life(memory: Memory, control: Address, life: u64, proof: Proof) -> Option<Dead> {
    of_life_from(memory, control, life, proof, 0)
}

/// As [`of_life`], from the seat with this index on.
#[must_use]
pub fn of_life_from(memory: Memory, control: Address, life: u64, proof: Proof, from: u32) -> Option<Dead> {
    // One that died while it attached counts, too.
    slots::each_from(memory, control, from, |_, at| {
        let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
        let is_of = life != 0 && word.has(SlotWord::ATTACHED) && slots::life(memory, at) == life;
        let is_meant = is_of && (proof == Proof::Ended || is_fenced(word));
        #[cfg(feature = "controls")]
        let is_meant = is_meant
            && (slots::body(memory, at).0 != 0 || !crate::controls::active(crate::controls::Control::SeatedOnly));
        is_meant.then_some(Dead { slot: at, incarnation: word.incarnation() })
    })
}

/// What a platform's lock of a life says of the seats of that life: held now, so that when it is not any more the thread has ended.
/// Whoever has seen it says so.
pub fn mark_locked(memory: Memory, control: Address, life: u64) {
    let _ = slots::each(memory, control, |_, at| -> Option<()> {
        // The life's mark: a seat that another thread has by now gets one that says nothing.
        if slots::life(memory, at) == life {
            memory.store32(at.wrapping_add(slot::LOCKED), locked(life));
        }
        None
    });
}

fn locked(life: u64) -> u32 {
    life as u32 | 1
}

/// One seat, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied {
    /// Its slot's index.
    pub index: u32,
    /// The life of its thread, or 0.
    pub life: u64,
    /// Whether that thread was seen to hold the lock of its life.
    pub is_locked: bool,
    /// Whether it is kept for its thread: all else is given back.
    pub is_kept: bool,
}

/// The first seat from this index on that an agent has. Loads only; at most one look at each slot.
#[must_use]
pub fn occupied(memory: Memory, control: Address, from: u32) -> Option<Occupied> {
    slots::each_from(memory, control, from, |index, at| {
        let word = slots::word(memory, at);
        let life = slots::life(memory, at);
        let is_locked = memory.load32(at.wrapping_add(slot::LOCKED)) == locked(life);
        let is_kept = word.has(SlotWord::KEPT);
        word.has(SlotWord::ATTACHED).then_some(Occupied { index, life, is_locked, is_kept })
    })
}

/// The first seat that [`is_left`], or whose agent is condemned and offline. Loads only; at most two looks at each slot.
#[must_use]
pub fn left(memory: Memory, control: Address) -> Option<Dead> {
    left_from(memory, control, 0)
}

/// As [`left`], from the seat with this index on.
#[must_use]
pub fn left_from(memory: Memory, control: Address, from: u32) -> Option<Dead> {
    slots::each_from(memory, control, from, |_, at| {
        let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
        let is_anybodys = is_fenced(word) || is_left(memory, control, at);
        is_anybodys.then_some(Dead { slot: at, incarnation: word.incarnation() })
    })
}

/// Whether a seat was taken over by an agent that is gone itself, or was about to be: that one had the proof.
#[must_use]
pub fn is_left(memory: Memory, control: Address, at: Address) -> bool {
    let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
    let reaper = Reaper(memory.load64_ordered(at.wrapping_add(slot::REAPER)));
    let is_taken = !word.has(SlotWord::KEPT) && reaper.acts_as(word.incarnation());
    word.has(SlotWord::ATTACHED) && (is_taken || reaper.is_said(word.incarnation())) && reaper.is_gone(memory, control)
}

/// Whether a seat [is anonymous](slots::is_anonymous), and not one whose last agent left something that somebody is about to end.
#[must_use]
#[inline(never)]
pub(crate) fn is_nobodys_yet(memory: Memory, at: Address) -> bool {
    // In this order: a reaper says so before it has the seat.
    let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
    let is_anonymous = slots::is_anonymous(memory, at);
    is_anonymous && !Reaper(memory.load64_ordered(at.wrapping_add(slot::REAPER))).acts_as(word.incarnation())
}

/// The seat of the agent that attached with this nonce, if it was reaped, and no other agent of that seat since: its index, and whether it is kept.
/// Loads only; at most two looks at each slot.
#[must_use]
pub fn lost(memory: Memory, control: Address, nonce: u64) -> Option<(u32, bool)> {
    slots::each(memory, control, |index, at| {
        let body = slots::body(memory, at).address();
        if body == 0 || nonce == 0 || memory.load64_ordered(body.wrapping_add(body::LOST)) != nonce {
            return None;
        }
        let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
        let is_its = word.has(SlotWord::ATTACHED) && memory.load64_ordered(at.wrapping_add(slot::NONCE)) == nonce;
        let is_kept = is_its && word.has(SlotWord::KEPT);
        // Its reaper is still at it.
        (is_kept || !is_its).then_some((index, is_kept))
    })
}

/// Whether the agent can begin no operation any more, and is in none: it stays so.
fn is_fenced(word: SlotWord) -> bool {
    const FLAGS: u64 = SlotWord::ATTACHED | SlotWord::CONDEMNED | SlotWord::ONLINE | SlotWord::KEPT;
    word.0 & FLAGS == SlotWord::ATTACHED | SlotWord::CONDEMNED
}

fn adopted_at(body: Address, number: u32) -> Address {
    body.wrapping_add(body::ADOPTED).wrapping_add(number.wrapping_mul(8))
}

/// The next of the workers that cannot outlive a life, from `from` on, 0 at first: where to go on, and the worker's life. Loads
/// only; at most one look at each slot.
#[must_use]
pub fn next_adopted(memory: Memory, control: Address, life: u64, from: u32) -> Option<(u32, u64)> {
    slots::each(memory, control, |index, at| {
        let first = index.wrapping_mul(body::ADOPTED_COUNT);
        let body = slots::body(memory, at).address();
        let is_of = slots::life(memory, at) == life && slots::word(memory, at).has(SlotWord::ATTACHED);
        if !is_of || body == 0 || life == 0 {
            return None;
        }
        (from.saturating_sub(first)..body::ADOPTED_COUNT).find_map(|number| {
            let child = memory.load64(adopted_at(body, number));
            (child != 0).then_some((first.wrapping_add(number).wrapping_add(1), child))
        })
    })
}

impl Agent {
    /// The first seat that this agent has taken over, and not done with. Loads only; at most one look at each slot.
    #[must_use]
    pub fn unfinished(self) -> Option<Dead> {
        let memory = self.memory();
        let mine = Reaper::new(self, 0, Proof::Ended);
        slots::each(memory, self.control(), |_, at| {
            let word = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
            let reaper = Reaper(memory.load64_ordered(at.wrapping_add(slot::REAPER)));
            let is_taken = word.has(SlotWord::ATTACHED) && !word.has(SlotWord::KEPT);
            let is_mine = is_taken && reaper.acts_as(word.incarnation()) && reaper.is_by(mine);
            is_mine.then_some(Dead { slot: at, incarnation: word.incarnation() })
        })
    }

    /// Takes the seat of a dead agent over, for good: the answer is its next agent, whose last operation was cut short. Or
    /// goes on with one that this agent has taken over. `None`: it has left, or another agent is at it, which knows from here on, if
    /// that is the proof, that the thread has ended. Lock-free.
    ///
    /// Then [`Agent::recover`] and, if that proof is that its thread has ended, [`Agent::detach`], or [`Agent::abandon`] of one that
    /// never sat down ([`Agent::is_seated`]), else [`Agent::keep`]; by this thread, and outside any operation of the caller's.
    ///
    /// # Safety
    /// The proof holds; or the seat [`is_left`]: then the proof of the one who left it holds, and `Fenced` is to be given. And this agent is
    /// online until the caller stops acting for the dead: else it could be fenced and reaped meanwhile, and somebody else act, too.
    #[must_use]
    pub unsafe fn take_over(self, dead: Dead, proof: Proof) -> Option<Taken> {
        let Dead { slot: at, incarnation } = dead;
        let memory = self.memory();
        self.check_tables();
        let reaper_at = at.wrapping_add(slot::REAPER);
        // Another round means that another agent came first, or has learned more.
        let (mut found, proof) = loop {
            let seen = Reaper(memory.load64_ordered(reaper_at));
            // After that load: who comes too late must not stand in the word of the one who came in time.
            let found = SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD)));
            if !found.has(SlotWord::ATTACHED) || found.incarnation() != incarnation {
                return None;
            }
            let is_taken = seen.acts_as(incarnation);
            let is_known = is_taken || seen.is_said(incarnation);
            let known = if is_known && seen.proof() == Proof::Ended { Proof::Ended } else { proof };
            let mine = Reaper::new(self, incarnation, known);
            let is_mine = seen.is_by(mine);
            if is_taken && is_mine && !found.has(SlotWord::KEPT) {
                // SAFETY: I-28 this agent took that incarnation of the slot over.
                let agent = unsafe { Self::from_slot(memory, at, incarnation) };
                let said = SlotWord(memory.own64(at.wrapping_add(slot::OFFLINE)));
                // An exception may have left it between the exchange and the end of sitting down.
                let is_new = said.incarnation() != incarnation;
                if is_new {
                    let online = SlotWord::new(SlotWord::ATTACHED | SlotWord::ONLINE, found.tenure(), incarnation);
                    self.sit_down(at, online);
                }
                return Some(Taken { agent, proof: known, is_new, was_kept: false });
            }
            let is_at_work = is_known && !is_mine && !seen.is_gone(memory, self.control());
            if is_at_work && (proof == Proof::Fenced || seen.proof() == Proof::Ended) {
                return None;
            }
            let next = if is_at_work { seen.ended() } else { mine };
            if memory.compare_exchange64(reaper_at, seen.0, next.0).is_ok() {
                if is_at_work {
                    return None;
                }
                break (found, known);
            }
        };
        loop {
            let next = incarnation.wrapping_add(1) & 0xFF_FFFF;
            if !found.has(SlotWord::ATTACHED) || found.incarnation() != incarnation || next == 0 {
                return None;
            }
            let online = SlotWord::new(SlotWord::ATTACHED | SlotWord::ONLINE, found.tenure(), next);
            // Others only set or clear flags: a handful of rounds.
            match memory.compare_exchange64(at.wrapping_add(slot::WORD), found.0, online.0) {
                Ok(_) => {
                    let agent = self.sit_down(at, online);
                    return Some(Taken { agent, proof, is_new: true, was_kept: found.has(SlotWord::KEPT) });
                }
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
        // It is one heap: whatever became of these words.
        slots::set_tables(memory, at, self.control());
        if agent.is_seated() && agent.tenure() != online.tenure() {
            // Its slabs were taken while it was offline.
            agent.forget_slabs();
        }
        let offline = SlotWord::new(SlotWord::ATTACHED, online.tenure(), online.incarnation());
        if agent.is_seated() {
            // What the last reaper has come to is not known to be done.
            memory.set_own32(agent.body_field(body::REAPED), 0);
            memory.store64(agent.body_field(body::LOST), memory.load64(at.wrapping_add(slot::NONCE)));
            memory.set_own32(agent.given(), 0);
        }
        // Who acts for the dead waits for nobody, least of all for its own audit.
        memory.set_own32(at.wrapping_add(slot::ROLE), 0);
        memory.set_own64(at.wrapping_add(slot::OWN), PageWord::own(agent.index(), online.tenure()));
        memory.set_own64(at.wrapping_add(slot::EXPECTED), online.0);
        // Last: until then it is begun again.
        memory.set_own64(at.wrapping_add(slot::OFFLINE), offline.0);
        agent
    }

    /// As [`Agent::detach_some`], but the seat is not free unless somebody has said that the thread of the one who had it has ended: it may
    /// still run. Whoever knows later that it has ended takes the seat over once more. Never blocks.
    ///
    /// # Errors
    /// Those of [`Agent::detach`].
    pub fn keep_some(self, pages: Pages) -> Result<bool> {
        if !self.clear_out(pages)? {
            return Ok(false);
        }
        self.forget_slabs();
        self.leave();
        let at = self.field(slot::REAPER);
        let reaper = Reaper(self.memory().load64_ordered(at));
        // Not exchanged: somebody has said meanwhile that the thread has ended. Before the flag: who knows so later need not wait for it.
        let is_over =
            reaper.proof() == Proof::Fenced && self.memory().compare_exchange64(at, reaper.0, reaper.done().0).is_ok();
        if is_over {
            self.set_kept();
        } else {
            self.free_slot();
        }
        Ok(true)
    }

    /// Nobody takes the seat any more: what its last agent left cannot be ended.
    pub fn quarantine(self) {
        self.set_kept();
        self.memory().set_own64(self.field(slot::LIFE), 0);
    }

    fn set_kept(self) {
        let memory = self.memory();
        let at = self.field(slot::WORD);
        let mut found = SlotWord(memory.load64(at));
        // Others only set or clear flags, or take it over: a handful of rounds.
        while found.has(SlotWord::ATTACHED) && found.incarnation() == self.incarnation() {
            let flags = SlotWord::ATTACHED | SlotWord::CONDEMNED | SlotWord::KEPT;
            // Its slabs are others' from here on.
            let kept = SlotWord::new(flags, found.tenure(), found.incarnation()).revoked();
            match memory.compare_exchange64(at, found.0, kept.0) {
                Ok(_) => break,
                Err(now) => found = SlotWord(now),
            }
        }
        memory.fetch_add32(self.control_field(control::ORPHANED), 1);
        memory.fetch_add32(self.control_field(control::DISTURBED), 1);
    }

    /// Gives up: an instance that broke in the middle of a call. Condemned and offline, as the last operation left everything,
    /// for whoever reaps. Nothing may run in its name afterwards.
    pub fn surrender(self) {
        let (memory, at) = (self.memory(), self.field(slot::WORD));
        let mut found = SlotWord(memory.load64_ordered(at));
        // In one exchange: once it is condemned and offline the seat may be another's, whose flags these are not.
        while found.has(SlotWord::ATTACHED) && found.incarnation() == self.incarnation() {
            match memory.compare_exchange64(at, found.0, found.0 & !SlotWord::ONLINE | SlotWord::CONDEMNED) {
                Ok(_) => break,
                Err(now) => found = SlotWord(now),
            }
        }
    }

    /// Notes the life of a worker that cannot outlive this agent's thread; false: there is no room, 64 are noted.
    #[must_use]
    pub fn adopt_worker(self, life: u64) -> bool {
        self.adopted(0).map(|at| self.memory().store64(at, life)).is_some()
    }

    /// Forgets a worker that has ended.
    pub fn disown_worker(self, nonce: u64) {
        if nonce != 0
            && let Some(at) = self.adopted(nonce)
        {
            self.memory().store64(at, 0);
        }
    }

    fn adopted(self, life: u64) -> Option<Address> {
        let body = self.body();
        (0..body::ADOPTED_COUNT).map(|i| adopted_at(body, i)).find(|&at| self.memory().load64(at) == life)
    }

    /// The slot's last agent had workers of its own.
    pub(crate) fn forget_adopted(self) {
        for number in 0..body::ADOPTED_COUNT {
            self.memory().store64(adopted_at(self.body(), number), 0);
        }
    }

    /// Whether the seat has its body: not if its agent died while it attached.
    #[must_use]
    pub fn is_seated(self) -> bool {
        self.body_name().address() != 0
    }

    /// Whether it can be told where its body is, or that it has none.
    #[must_use]
    pub fn is_found(self) -> bool {
        self.body_name().is_whole()
    }

    /// Whether an operation of the agent was cut short, so that [`Agent::recover`] has something to decide.
    #[must_use]
    pub fn was_inside(self) -> bool {
        self.memory().own32(self.field(slot::DEPTH)) != 0
    }
}
