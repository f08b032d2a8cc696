//! Reading: what is there, or whole tokens of it.

use coheap_alloc::{Memory, Operation};

use super::*;

/// What ends a token: one to eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// The bytes, the last in the lowest bits.
    word: u64,
    length: u32,
}

impl Until {
    /// These bytes; `None`: not one to eight.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let length = bytes.len() as u32;
        let word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        (1..=8).contains(&bytes.len()).then_some(Self { word, length })
    }

    /// What of the last eight bytes counts.
    fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.length)
    }

    /// Where the last token of so many bytes from `at` on ends, which only this agent writes to; `None`: none does.
    pub(super) fn last_end(self, memory: Memory, at: Address, length: u32) -> Option<u32> {
        let mut seen = 0;
        let mut load = Bytewise::new(memory);
        // Backwards, so that the bytes come in with the highest first.
        for index in (0..length).rev() {
            seen = seen >> 8 | u64::from(load.byte(at.wrapping_add(index))) << 56;
            if length - index >= self.length && seen >> (64 - 8 * self.length) == self.word {
                return Some(index + self.length);
            }
        }
        None
    }
}

/// Loads bytes by words of eight, which are loaded once.
struct Bytewise {
    memory: Memory,
    at: Address,
    word: u64,
}

impl Bytewise {
    fn new(memory: Memory) -> Self {
        Self { memory, at: 1, word: 0 }
    }

    fn byte(&mut self, at: Address) -> u8 {
        if at & !7 != self.at {
            self.at = at & !7;
            self.word = self.memory.load64(self.at);
        }
        (self.word >> ((at & 7) * 8)) as u8
    }
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes were copied, and are gone from the pipe.
    Bytes(u32),
    /// Every byte was read, none is on loan to others, and none will come.
    End,
    /// The next token has so many bytes, which is more than there was room for: take it as a loan.
    Long(u32),
}

/// Bytes that are about to be taken: copied, and still the pipe's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered {
    pub(super) head: Mark,
    pub(super) next: Mark,
    pub(super) length: u32,
}

/// What there was to gather.
pub(super) enum Found {
    Bytes(Gathered),
    /// The next token has so many bytes.
    Long(u32),
    Nothing {
        closed: bool,
    },
}

/// Takes at most `room` bytes, one at least, and copies them to `to`, which only this agent uses. With `until`: whole
/// tokens, as many as fit, and at the end the rest without a delimiter. With `wait`, an empty pipe answers what to sleep
/// on. `scanned`: a position up to which there is no delimiter, from where this call goes on; it leaves its own there.
///
/// If the caller dies here, the bytes are gone with it, or still in the pipe.
///
/// # Errors
/// [`Error::TokenTooLong`] when the pipe is full, of bytes or of writes, and has no delimiter, [`Error::PipeAborted`],
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`]: nothing was read.
pub fn read(
    operation: &Operation,
    handle: Handle,
    (to, room): (Address, u32),
    until: Option<Until>,
    scanned: &mut Option<u64>,
    wait: bool,
) -> Result<(Outcome<Read>, Wake)> {
    let view = open(operation, handle)?;
    note(operation, handle);
    let mut waiting = Waiting::new(operation, wait);
    if room == 0 {
        return Err(Error::out_of_range(0, 0, u64::from(view.capacity)));
    }
    // Lock-free: another round means that another agent read or gave a loan back, but for the one that follows an
    // announcement.
    loop {
        check_sound(&view, handle)?;
        let (returned, shown) = loans::first_returned(&view)?;
        if let Some(loan) = returned {
            match loans::read_returned(operation, &view, loan, (to, room), until)? {
                Some(found) => return Ok((Outcome::Done(found), wake(&view))),
                None => continue,
            }
        }
        let found = gather(&view, (to, room), until, scanned)?;
        if view.returned() != shown {
            // What came back meanwhile goes first.
            continue;
        }
        match found {
            Found::Long(length) => return Ok((Outcome::Done(Read::Long(length)), Wake::NONE)),
            Found::Bytes(found) => {
                if take(operation, &view, found, None)? {
                    return Ok((Outcome::Done(Read::Bytes(found.length)), wake(&view)));
                }
            }
            Found::Nothing { closed } => {
                if closed && !loans::has_others(operation, &view) {
                    return Ok((Outcome::Done(Read::End), Wake::NONE));
                }
                if !waiting.again(&view, view.place(view.tail().sequence())) {
                    return Ok((Outcome::Wait(waiting.watch()), Wake::NONE));
                }
            }
        }
    }
}

/// Copies what is to be read next. It is still the pipe's, and another agent may take it.
pub(super) fn gather(
    view: &View,
    (to, room): (Address, u32),
    until: Option<Until>,
    scanned: &mut Option<u64>,
) -> Result<Found> {
    // Lock-free: another round means that another agent read.
    loop {
        let head = view.head();
        if let Some(until) = until
            && let Some(from) = scanned.and_then(|at| distance(head.position(), at)).filter(|&bytes| bytes > 0)
        {
            // Woken: the token has to end in what is new.
            match first_end(view, head, until, from.min(u64::from(u32::MAX)) as u32)? {
                None => continue,
                Some(End::Not { length, rest: Rest::Open(full) }) => {
                    return nothing_whole(view, head, length, full, scanned);
                }
                Some(End::At(length) | End::Not { length, .. }) if length > room => return Ok(Found::Long(length)),
                Some(_) => {}
            }
        }
        let mut walk = Walk::new(view, head, room);
        let mut copied = 0;
        while let Some((at, length)) = walk.step()? {
            view.memory.copy_within(at, to.wrapping_add(copied), length);
            copied += length;
        }
        if !walk.holds() {
            continue;
        }
        if walk.length == 0 {
            return Ok(Found::Nothing { closed: walk.closed });
        }
        let length = match until {
            None => walk.length,
            Some(until) => match until.last_end(view.memory, to, walk.length) {
                Some(end) => end,
                // The rest, which no delimiter will end.
                None if walk.closed => walk.length,
                None => match first_end(view, head, until, walk.length)? {
                    Some(End::Not { length, rest: Rest::Open(full) }) => {
                        return nothing_whole(view, head, length, full, scanned);
                    }
                    Some(End::At(length) | End::Not { length, .. }) if length > room => return Ok(Found::Long(length)),
                    // Another agent wrote or closed meanwhile: it fits.
                    Some(_) | None => continue,
                },
            },
        };
        let walk = if length == walk.length { walk } else { Walk::new(view, head, length).all()? };
        if walk.lost {
            continue;
        }
        let next = walk.next;
        return Ok(Found::Bytes(Gathered { head, next, length }));
    }
}

/// There are so many bytes, and no token among them has its end, nor will one have, if the pipe was full of them.
fn nothing_whole(view: &View, head: Mark, length: u32, full: Option<u32>, scanned: &mut Option<u64>) -> Result<Found> {
    if let Some(writes) = full {
        return Err(Error::token_too_long(length, view.capacity, writes));
    }
    *scanned = Some(advanced(head.position(), length));
    Ok(Found::Nothing { closed: false })
}

/// A walk along the bytes from a head on, piece by piece. At most one round a place.
pub(super) struct Walk<'a> {
    view: &'a View,
    head: Mark,
    limit: u32,
    rounds: u32,
    /// How many bytes were met.
    pub(super) length: u32,
    /// What comes behind them.
    pub(super) next: Mark,
    /// Nothing does any more.
    pub(super) closed: bool,
    /// The head is another one by now.
    lost: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(view: &'a View, head: Mark, limit: u32) -> Self {
        let next = Mark::new(head.position(), head.sequence());
        Self { view, head, limit, rounds: view.places, length: 0, next, closed: false, lost: false }
    }

    /// Goes to the end.
    pub(super) fn all(mut self) -> Result<Self> {
        while self.step()?.is_some() {}
        Ok(self)
    }

    /// Where the next bytes are, and how many.
    #[inline(never)]
    pub(super) fn step(&mut self) -> Result<Option<(Address, u32)>> {
        let (view, sequence) = (self.view, self.next.sequence());
        let at = view.place(sequence);
        let word = view.load(at);
        let block = match Place::of(word) {
            Place::Bytes(block) => block,
            place => {
                self.closed = matches!(place, Place::Closed(found) if self.next.is_at(found));
                return Ok(None);
            }
        };
        if self.length == self.limit || self.rounds == 0 {
            return Ok(None);
        }
        self.rounds -= 1;
        let bytes = view.bytes(block);
        let is_old = |bytes: Bytes| !self.next.is_at(bytes.sequence) && is_before(bytes.position, self.next);
        if bytes.is_some_and(is_old) && view.load(at) == word {
            // Of the round before: it was read, and who read it has not emptied the place.
            return Ok(None);
        }
        let bytes = bytes.filter(|bytes| self.next.is_at(bytes.sequence));
        let skipped = bytes.and_then(|bytes| {
            let skipped = distance(bytes.position, self.next.position())?;
            (skipped < u64::from(bytes.length)).then_some((bytes, skipped as u32))
        });
        if view.load(at) != word {
            self.lost = true;
            return Ok(None);
        }
        let Some((bytes, skipped)) = skipped else {
            // A block that makes no sense, while the head is this one.
            self.lost = true;
            return if view.head() == self.head { view.corrupt() } else { Ok(None) };
        };
        let taken = (bytes.length - skipped).min(self.limit - self.length);
        self.length += taken;
        let whole = u64::from(skipped + taken == bytes.length);
        self.next = Mark::new(advanced(self.next.position(), taken), sequence.wrapping_add(whole));
        Ok(Some((bytes.at.wrapping_add(skipped), taken)))
    }

    /// Whether the head is the same still, so that what was met was there; what was read of it comes before.
    pub(super) fn holds(&self) -> bool {
        self.view.memory.fence();
        !self.lost && self.view.head() == self.head
    }
}

/// Where a token ends.
enum End {
    /// After so many bytes.
    At(u32),
    /// Not in these bytes.
    Not { length: u32, rest: Rest },
}

/// What comes behind the bytes of a pipe.
enum Rest {
    /// Nothing any more.
    Closed,
    /// What is written next; how many writes there are, if there is no room for another.
    Open(Option<u32>),
}

/// Where the first token ends, searched from `from` bytes after the head on, where none has ended; `None`: the head is
/// another one by now. Linear in what is searched.
fn first_end(view: &View, head: Mark, until: Until, from: u32) -> Result<Option<End>> {
    let (mut seen, mut done, mut end) = (0u64, 0u32, None);
    let mut load = Bytewise::new(view.memory);
    // A delimiter may begin before.
    let from = from.saturating_sub(until.length - 1);
    let mut walk = Walk::new(view, head, u32::MAX);
    while let Some((at, length)) = walk.step()? {
        for index in from.saturating_sub(done).min(length)..length {
            seen = seen << 8 | u64::from(load.byte(at.wrapping_add(index)));
            let read = done + index + 1 - from;
            if end.is_none() && read >= until.length && seen & until.mask() == until.word {
                end = Some(done + index + 1);
            }
        }
        done += length;
        if end.is_some() {
            break;
        }
    }
    if !walk.holds() {
        return Ok(None);
    }
    #[cfg(feature = "controls")]
    // Seeded bug: what was written since may have the delimiter.
    let last = if crate::controls::is_on(crate::controls::FULL_SINCE) { view.tail() } else { walk.next };
    #[cfg(not(feature = "controls"))]
    let last = walk.next;
    let writes = head.writes_to(last);
    let is_full = walk.length >= view.capacity || writes >= view.places.wrapping_sub(1);
    let rest = if walk.closed { Rest::Closed } else { Rest::Open(is_full.then_some(writes)) };
    Ok(Some(match end {
        Some(length) => End::At(length),
        None => End::Not { length: walk.length, rest },
    }))
}

/// Moves the tail to `next` at least, up to which all was written.
fn pass_tail(view: &View, next: Mark) -> Result<()> {
    let seen = view.field(TAIL_SEEN);
    // A tail of the past is one that the tail has passed.
    if distance(next.position(), Mark(view.load(seen)).position()).is_some() {
        return Ok(());
    }
    if distance(next.position(), view.tail().position()).is_none() {
        let _ = write::next_place(view)?;
    }
    view.memory.store64(seen, view.tail().0);
    Ok(())
}

/// Takes what was gathered, for a loan or for the caller: whether it was still there.
pub(super) fn take(operation: &Operation, view: &View, found: Gathered, loan: Option<u32>) -> Result<bool> {
    let Gathered { head, next, .. } = found;
    // The tail first: what is gone could not say any more how long it was.
    if head.sequence() != next.sequence() {
        pass_tail(view, next)?;
    }
    loans::help(view, head);
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::CLEAN_BEFORE_HEAD) {
        // Seeded bug: another agent may be reading there, and be the one that takes it.
        tidy::clean_between(operation, view, head, next)?;
    }
    if !move_head(view, head, loan.map_or(next, |loan| next.by(loan))) {
        return Ok(false);
    }
    tidy::clean_between(operation, view, head, next)?;
    Ok(true)
}

fn move_head(view: &View, from: Mark, to: Mark) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::HEAD_BY_STORE) {
        // Seeded bug: another agent may have taken these bytes meanwhile.
        view.memory.store64(view.field(HEAD), to.0);
        return true;
    }
    view.memory.compare_exchange64(view.field(HEAD), from.0, to.0).is_ok()
}
