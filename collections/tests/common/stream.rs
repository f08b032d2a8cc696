//! Recorded histories of one pipe, and whether some order of them explains every answer.

use std::collections::HashSet;

/// What one operation on a pipe was, who did it, and when.
#[derive(Clone, Debug)]
pub struct Event {
    pub begun: u64,
    pub ended: u64,
    pub agent: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Write(Vec<u8>),
    /// A write that found no room.
    Full,
    /// A write that found the pipe closed.
    Refused,
    Read(Vec<u8>),
    /// A read or a loan that found nothing.
    Nothing,
    /// One that found the end.
    End,
    /// Where its bytes begin, and which they are.
    Lease(u64, Vec<u8>),
    /// The loan that begins there is used up.
    Commit(u64),
    GiveUp(u64),
    Close,
}

/// What was in the pipe before, how many writes it takes, and when it is full of bytes.
#[derive(Clone, Debug)]
pub struct Begin {
    pub writes: Vec<Vec<u8>>,
    pub places: usize,
    pub capacity: usize,
}

/// A pipe as it is specified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    bytes: Vec<u8>,
    /// Where each write ends.
    ends: Vec<usize>,
    head: usize,
    closed: bool,
    /// Position, length.
    returned: Vec<(usize, usize)>,
    /// Position, length, agent.
    lent: Vec<(usize, usize, usize)>,
}

impl State {
    fn begin(begin: &Begin) -> Self {
        let mut state = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            head: 0,
            closed: false,
            returned: Vec::new(),
            lent: Vec::new(),
        };
        begin.writes.iter().for_each(|bytes| state.append(bytes));
        state
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.ends.push(self.bytes.len());
    }

    fn is_full(&self, begin: &Begin) -> bool {
        let writes = self.ends.iter().filter(|&&end| end > self.head).count();
        writes >= begin.places || self.bytes.len() - self.head >= begin.capacity
    }

    fn is_at_end(&self, agent: usize) -> bool {
        self.closed && self.lent.iter().all(|&(_, _, holder)| holder == agent)
    }

    fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.head == self.bytes.len()
    }

    /// These bytes are the next that are read: where they begin.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let (at, length) = *self.returned.first().unwrap_or(&(self.head, self.bytes.len() - self.head));
        if bytes.is_empty() || bytes.len() > length || self.bytes[at..at + bytes.len()] != *bytes {
            return None;
        }
        if self.returned.is_empty() {
            self.head += bytes.len();
        } else if bytes.len() == length {
            self.returned.remove(0);
        } else {
            self.returned[0] = (at + bytes.len(), length - bytes.len());
        }
        Some(at)
    }

    fn end_loan(&mut self, position: u64) -> Option<(usize, usize)> {
        let place = self.lent.iter().position(|&(at, _, _)| at as u64 == position)?;
        let (at, length, _) = self.lent.remove(place);
        Some((at, length))
    }

    /// The state after an event, if its answer fits.
    fn after(&self, event: &Event, begin: &Begin) -> Option<Self> {
        let mut next = self.clone();
        let fits = match &event.what {
            What::Write(bytes) => {
                next.append(bytes);
                !self.closed && !self.is_full(begin)
            }
            What::Full => !self.closed && self.is_full(begin),
            What::Refused => self.closed,
            What::Read(bytes) => next.take(bytes).is_some(),
            What::Nothing => self.is_empty() && !self.is_at_end(event.agent),
            What::End => self.is_empty() && self.is_at_end(event.agent),
            What::Lease(position, bytes) => {
                let whole = self.returned.first().is_none_or(|&(_, length)| length == bytes.len());
                let at = next.take(bytes)?;
                next.lent.push((at, bytes.len(), event.agent));
                next.lent.sort_unstable();
                whole && at as u64 == *position
            }
            What::Commit(position) => next.end_loan(*position).is_some(),
            What::GiveUp(position) => {
                let back = next.end_loan(*position)?;
                next.returned.push(back);
                next.returned.sort_unstable();
                true
            }
            What::Close => {
                next.closed = true;
                true
            }
        };
        fits.then_some(next)
    }
}

/// Wing and Gong: whether the events, 64 at most, can be put into an order that respects their times and explains each
/// answer.
pub fn is_linearizable(events: &[Event], begin: &Begin) -> bool {
    assert!(events.len() <= 64, "one bit for each");
    let all = if events.len() == 64 { u64::MAX } else { (1 << events.len()) - 1 };
    let mut seen = HashSet::new();
    let mut open = vec![(0u64, State::begin(begin))];
    while let Some((done, state)) = open.pop() {
        if done == all {
            return true;
        }
        let left = || events.iter().enumerate().filter(|(place, _)| done >> place & 1 == 0);
        let limit = left().map(|(_, event)| event.ended).min();
        for (place, event) in left().filter(|(_, event)| Some(event.begun) <= limit) {
            if let Some(next) = state.after(event, begin) {
                let key = (done | 1 << place, next);
                if seen.insert(key.clone()) {
                    open.push(key);
                }
            }
        }
    }
    false
}
