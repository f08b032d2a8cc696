//! Recorded histories, and whether some order of them explains every answer.

use std::fmt::Debug;
use std::hash::Hash;

/// What one operation was, and when.
#[derive(Clone, Debug)]
pub struct Event<W = What> {
    pub begun: u64,
    pub ended: u64,
    pub what: W,
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
