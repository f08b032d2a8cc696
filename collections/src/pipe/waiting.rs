//! What a caller does that found nothing, or no room: it looks a little longer, then announces that it waits, and looks once
//! more.
//!
//! To be woken takes tens of microseconds of both sides, to see a change takes one of them a fraction of one. Two agents that
//! answer each other stay awake by a short look, once both are; what brings them there is a long look by either. So each
//! agent learns, after the manner of adaptive mutexes: a long look now and then, at every wait after one that was worth it, and
//! ever more rarely after those that were not.

use coheap_alloc::{Address, Agent, Operation};

use super::View;
use crate::wait::{self, Watch};

/// Of a short look: one or two microseconds.
const SHORT: u32 = 2048;
/// Of a long one: about what it takes to wake a thread. Natively each look rests the processor for a while.
const LONG: u32 = if cfg!(target_arch = "wasm32") { 1 << 16 } else { 1 << 12 };

/// What an agent has learnt; 0 at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patience(u32);

impl Patience {
    /// The last long look saw a change.
    const PAYS: u32 = 1 << 31;
    /// One in the number of long looks in a row that did not.
    const FAILURE: u32 = 1 << 16;
    /// So many double the waits between long looks.
    const FAILURES: u32 = 5;
    /// Waits between the first long looks.
    const BETWEEN: u32 = 8;

    fn failures(self) -> u32 {
        (self.0 & !Self::PAYS) / Self::FAILURE
    }

    /// Whether this wait begins with a long look, and what to remember of it.
    fn waits(self) -> (bool, Self) {
        if self.0 & Self::PAYS != 0 {
            return (true, self);
        }
        let next = self.0.wrapping_add(1);
        if next % Self::FAILURE < Self::BETWEEN << self.failures().min(Self::FAILURES) {
            return (false, Self(next));
        }
        (true, Self(next - next % Self::FAILURE))
    }

    /// After a long look.
    fn looked(self, saw: bool) -> Self {
        if saw {
            Self(Self::PAYS)
        } else if self.0 & Self::PAYS != 0 {
            Self(0)
        } else {
            Self((self.failures() + 1).min(Self::FAILURES) * Self::FAILURE)
        }
    }
}

/// A call that may wait.
pub(super) struct Waiting {
    agent: Agent,
    wanted: bool,
    /// Looks that are left; `None`: this call has not looked yet.
    looks: Option<u32>,
    is_long: bool,
    /// The word that was there before the caller looked last, and where.
    seen: Option<(Address, u64)>,
    watch: Option<Watch>,
}

impl Waiting {
    pub(super) fn new(operation: &Operation, wanted: bool) -> Self {
        Self { agent: operation.agent(), wanted, looks: None, is_long: false, seen: None, watch: None }
    }

    /// What to sleep on.
    pub(super) fn watch(&self) -> Option<Watch> {
        self.watch
    }

    /// Whether to look again; if not, the answer is [`Self::watch`]. The word at `at` changes with what is waited for.
    pub(super) fn again(&mut self, view: &View, at: Address) -> bool {
        if !self.wanted || self.watch.is_some() {
            return false;
        }
        // Who is not announced costs the other side no call to wake it. Who must not block does not look for long either.
        if self.agent.may_block() && self.look(view, at) {
            return true;
        }
        self.watch = Some(wait::announce(view.memory, view.entry));
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::WAIT_WITHOUT_LOOK) {
            // Seeded bug: what changed since the last look wakes nobody.
            return false;
        }
        true
    }

    /// Whether the word at `at` is another one than before the caller looked last, or becomes it meanwhile.
    fn look(&mut self, view: &View, at: Address) -> bool {
        let now = view.load(at);
        let Some((_, seen)) = self.seen.filter(|&before| before == (at, now)) else {
            // What came between the caller's look and this one would not change it any more.
            self.seen = Some((at, now));
            return true;
        };
        let learnt = self.agent.patience();
        let patience = Patience(view.memory.own32(learnt));
        let mut left = match self.looks {
            Some(left) => left,
            None => {
                let (is_long, remembered) = patience.waits();
                self.is_long = is_long;
                view.memory.set_own32(learnt, remembered.0);
                if is_long { LONG } else { SHORT }
            }
        };
        let mut changed = false;
        while left > 0 && !changed {
            left -= 1;
            core::hint::spin_loop();
            changed = view.load(at) != seen;
        }
        self.looks = Some(left);
        if self.is_long {
            view.memory.set_own32(learnt, Patience(view.memory.own32(learnt)).looked(changed).0);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::Patience;

    /// Which of so many waits begin with a long look, if what it is worth is always the same.
    fn long_looks(patience: &mut Patience, waits: u32, pays: bool) -> Vec<u32> {
        let mut is_long = |_: &u32| {
            let (is_long, next) = patience.waits();
            *patience = if is_long { next.looked(pays) } else { next };
            is_long
        };
        (1..=waits).filter(|wait| is_long(wait)).collect()
    }

    #[test]
    fn looks_that_are_worth_nothing_become_rare_and_one_that_was_worth_it_brings_the_next() {
        let mut patience = Patience(0);
        assert_eq!(long_looks(&mut patience, 600, false), [8, 24, 56, 120, 248, 504]);
        assert_eq!(long_looks(&mut patience, 260, true).len(), 101);
        assert_eq!(long_looks(&mut patience, 20, false), [1, 9]);
    }
}
