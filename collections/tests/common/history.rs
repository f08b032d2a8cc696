//! Recorded histories, and whether some order of them explains every answer.
#![allow(clippy::disallowed_types, reason = "where threads of a test meet is no shared word of a heap")]

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::Random;

/// What one operation was, and when.
#[derive(Clone, Debug)]
pub struct Event<W = What> {
    pub begun: u64,
    pub ended: u64,
    pub what: W,
}

/// Where threads meet, as often as they like, to go on at the same moment: a sleeper would be woken when the others are through.
pub struct Meeting {
    threads: u64,
    arrived: AtomicU64,
}

impl Meeting {
    pub fn of(threads: u64) -> Self {
        Self { threads, arrived: AtomicU64::new(0) }
    }

    pub fn wait(&self) {
        let before = self.arrived.fetch_add(1, SeqCst);
        let all = (before / self.threads + 1) * self.threads;
        while self.arrived.load(SeqCst) < all {
            std::thread::yield_now();
        }
    }
}

/// Before an operation: lets others go on in the middle of one in four.
#[cfg_attr(not(feature = "fault-points"), allow(unused_variables, reason = "nothing counts words there"))]
pub fn pause(random: &mut Random) {
    #[cfg(feature = "fault-points")]
    if random.below(4) == 0 {
        coheap_alloc::sync::fault::pause(random.below(24));
    }
}

/// How many recorded histories have operations of several threads at the same time: others can be put into order without a search.
#[derive(Default)]
pub struct Overlaps {
    histories: u64,
    overlapping: u64,
}

impl Overlaps {
    /// The times of all operations of one history. Those of one thread follow one another, if nobody else looks at the clock meanwhile.
    pub fn add(&mut self, mut times: impl Iterator<Item = (u64, u64)>) {
        self.histories += 1;
        self.overlapping += u64::from(times.any(|(begun, ended)| ended > begun + 1));
    }

    pub fn check(&self) {
        let Self { histories, overlapping } = self;
        println!("operations overlap in {overlapping} of {histories} histories");
        // Without pauses that is for the machine to say.
        assert!(cfg!(not(feature = "fault-points")) || 2 * overlapping > *histories, "hardly any operations overlap");
    }
}

/// An operation and its answer.
pub trait Step: Clone + Debug {
    type State: Clone + Debug + Eq + Hash;

    /// The state after it, if its answer fits the state before.
    fn apply(&self, state: &Self::State) -> Option<Self::State>;
}

/// From here on a number stands for a text.
pub const TEXT: u64 = 1 << 40;

/// What one operation on one value was.
#[derive(Clone, Copy, Debug)]
pub enum What {
    Get(Option<u64>),
    Set(u64),
    /// As that, of what is there.
    Replace(u64),
    /// Whether it was there.
    Delete(bool),
    /// As that, and nobody says.
    Remove,
    /// Delta and sum.
    Add(u64, u64),
    /// To a text.
    AddRefused,
    /// The value given, and what was there.
    Insert(u64, Option<u64>),
    /// Expected, given, whether it was so.
    Compare(Option<u64>, Option<u64>, bool),
}

impl Step for What {
    type State = Option<u64>;

    fn apply(&self, &state: &Option<u64>) -> Option<Option<u64>> {
        match *self {
            Self::Get(found) => (found == state).then_some(state),
            Self::Set(value) => Some(Some(value)),
            Self::Replace(value) => state.map(|_| Some(value)),
            Self::Delete(was) => (was == state.is_some()).then_some(None),
            Self::Remove => Some(None),
            Self::Add(delta, sum) => (state.unwrap_or(0) + delta == sum).then_some(Some(sum)),
            Self::AddRefused => (state >= Some(TEXT)).then_some(state),
            Self::Insert(value, there) => (there == state).then_some(Some(there.unwrap_or(value))),
            Self::Compare(expected, new, was_so) => {
                ((state == expected) == was_so).then_some(if was_so { new } else { state })
            }
        }
    }
}

/// Wing and Gong: whether the events can be put into an order that respects their times and explains each answer.
pub fn is_linearizable<W: Step>(events: &[Event<W>], before: W::State) -> bool {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.begun);
    let mut seen = std::collections::HashSet::new();
    // What is done and the state: the events before `first` and the set of some behind it.
    let mut open = vec![(vec![false; events.len()], before)];
    while let Some((done, state)) = open.pop() {
        let Some(first) = done.iter().position(|&done| !done) else { return true };
        let limit = events.iter().zip(&done).filter(|(_, done)| !**done).map(|(event, _)| event.ended).min();
        for (place, event) in events.iter().enumerate().skip(first) {
            if Some(event.begun) > limit {
                break;
            }
            if done[place] {
                continue;
            }
            if let Some(next) = event.what.apply(&state) {
                let mut done = done.clone();
                done[place] = true;
                if seen.insert((done.clone(), next.clone())) {
                    open.push((done, next));
                }
            }
        }
    }
    false
}
