//! Changes of an entry, and clearing.

use coheap_alloc::{Address, Block, Error, Operation, Result};

use super::index::Found;
use super::key::Key;
use super::transaction::{Joining, Met, meet};
use super::view::View;
use super::words::{self, *};
use super::writer::Writer;
use super::{eras, make_head, reclaim};
use crate::cell::{Taken, look_at};
use crate::count::Change;
use crate::object::{self, Handle, Table};
use crate::string::{self, Given, Made, Stored};
use crate::{nested, value};

/// What is to become of a key.
pub(super) enum Action {
    /// It stays as it is.
    Keep,
    /// It gets this value.
    Put(Made),
    /// It goes.
    Remove,
}

/// What a caller wants of a key, and what came of it.
pub(super) enum Wish<'a> {
    Set(Made),
    Insert { given: Given<'a>, made: Option<Made>, to: Address, room: u32, there: Option<Taken> },
    Delete { was_there: bool },
    Add { delta: f64, sum: f64 },
    Compare { expected: Option<Given<'a>>, given: Option<Given<'a>>, made: Option<Made>, was_so: bool },
    Join(Joining),
}

impl Wish<'_> {
    /// Decides by the value that the key has, if it has one. It is asked again when another agent changed that meanwhile.
    pub(super) fn decide(&mut self, operation: &Operation, found: Option<(u64, Option<&Stored>)>) -> Result<Action> {
        match self {
            Self::Set(made) => Ok(Action::Put(*made)),
            Self::Insert { given, made, to, room, there } => {
                *there = found.map(|(word, stored)| {
                    if let Some(stored) = stored.filter(|stored| stored.length <= *room) {
                        operation.memory().copy_within(stored.at(), *to, stored.length);
                    }
                    Taken::new(word, stored)
                });
                if there.is_some() { Ok(Action::Keep) } else { make_once(operation, made, *given).map(Action::Put) }
            }
            Self::Delete { was_there } => {
                *was_there = found.is_some();
                Ok(Action::Remove)
            }
            Self::Add { delta, sum } => {
                let before = match found {
                    None => 0.0,
                    Some((word, _)) => value::to_number(word)
                        .ok_or_else(|| Error::not_a_number(value::tag(word).map_or(0, |tag| tag as u32)))?,
                };
                *sum = before + *delta;
                Ok(Action::Put(Made { word: value::from_number(*sum), block: None }))
            }
            Self::Join(joining) => joining.decide(operation, found),
            Self::Compare { expected, given, made, was_so } => {
                *was_so = match (found, &*expected) {
                    (None, None) => true,
                    (Some((word, stored)), Some(expected)) => {
                        string::is_given(Table::of(operation), word, stored, expected)?
                    }
                    _ => false,
                };
                match given {
                    Some(given) if *was_so => make_once(operation, made, *given).map(Action::Put),
                    None if *was_so => Ok(Action::Remove),
                    _ => Ok(Action::Keep),
                }
            }
        }
    }
}

impl Wish<'_> {
    /// Before an exchange that lets an entry join a transaction: its record says which entry that is.
    fn name(&self, operation: &Operation, at: Address) {
        if let Self::Join(joining) = self {
            joining.name(operation, at);
        }
    }
}

/// A place that was claimed for the key, and the sequence under which its entry will be counted.
pub(super) type Claimed = Option<(Address, u64)>;

/// How an attempt at a change ended.
pub(super) enum Attempt {
    Done,
    /// Another agent changed the entry, or the index.
    Again,
}

/// Changes the entry of a key as the wish decides.
pub(super) fn change(operation: &Operation, handle: Handle, key: &Key<'_>, wish: &mut Wish<'_>) -> Result<()> {
    let order = key.order(Table::of(operation))?;
    let writer = Writer::enter(operation, handle)?;
    let mut claimed = None;
    // Lock-free: another round means that another agent changed the map.
    let done = loop {
        match attempt(&writer, key, order, &mut claimed, wish) {
            Ok(Attempt::Done) => break Ok(()),
            Ok(Attempt::Again) => {}
            Err(error) => break Err(error),
        }
    };
    if done.is_err() && claimed.is_none() {
        writer.end();
    }
    let left = writer.discard(claimed);
    let tidied = writer.tidy_cleared();
    writer.leave();
    done.and(left).and(tidied)
}

#[inline]
pub(super) fn attempt(
    writer: &Writer<'_>,
    key: &Key<'_>,
    order: u32,
    claimed: &mut Claimed,
    wish: &mut Wish<'_>,
) -> Result<Attempt> {
    match writer.find(key, order)? {
        Found::Entry(_) if claimed.is_some() => {
            // Somebody else's has the key. Tidying up may free even what this agent has just found.
            writer.discard(claimed.take())?;
            Ok(Attempt::Again)
        }
        Found::Entry(entry) => writer.attempt_at(entry, order, wish),
        Found::Absent(at, link) => match wish.decide(writer.operation, None)? {
            Action::Keep | Action::Remove => Ok(Attempt::Done),
            Action::Put(made) => writer.attempt_new(key, order, (at, link), claimed, (made, wish)),
        },
    }
}

impl Writer<'_> {
    /// Gives up what was claimed and is not needed.
    pub(super) fn discard(&self, claimed: Claimed) -> Result<()> {
        let Some((at, sequence)) = claimed else { return Ok(()) };
        let given_up = self.give_up(at, self.holder().index, sequence);
        if matches!(given_up, Ok(false)) {
            // It was linked, and another agent gave it its value.
            self.count(self.holder(), true, sequence);
        }
        self.end();
        given_up?;
        self.tidy(at)
    }

    /// An attempt at the entry of the key.
    pub(super) fn attempt_at(&self, entry: Address, order: u32, wish: &mut Wish<'_>) -> Result<Attempt> {
        let at = entry.wrapping_add(VALUE);
        let found = look_at(self.view.table, at, |word, stored| {
            let there = match state(word) {
                State::Value => Some((word, stored)),
                State::Claimed => None,
                State::Joined => {
                    if let Wish::Join(joining) = wish
                        && joining.add_again(self.operation, at, word)?
                    {
                        return Ok(Some((word, None, Action::Keep)));
                    }
                    match meet(self.operation, at, word)? {
                        Met::Again => return Ok(None),
                        Met::Absent => None,
                    }
                }
                _ => return Ok(None),
            };
            Ok(Some((word, stored.map(Stored::block), wish.decide(self.operation, there)?)))
        })?;
        let Some((word, old, action)) = found else { return Ok(Attempt::Again) };
        #[cfg(feature = "controls")]
        let word = self.lose_update(at, word);
        let done = match action {
            Action::Keep => true,
            Action::Put(made) => {
                wish.name(self.operation, at);
                self.put(at, word, made, old)?
            }
            // Claimed, or never given a value: it is not there.
            Action::Remove if state(word) != State::Value => true,
            Action::Remove => self.delete(entry, order, word, old)?,
        };
        Ok(if done { Attempt::Done } else { Attempt::Again })
    }

    /// Seeded bug: what another agent did between the look and the exchange is overwritten.
    #[cfg(feature = "controls")]
    pub(super) fn lose_update(&self, at: Address, word: u64) -> u64 {
        if !crate::controls::is_on(crate::controls::LOST_UPDATE) || value::is_block(word) {
            return word;
        }
        for round in 0..20_000 {
            // Something that wasm does, too.
            core::hint::black_box(round);
        }
        let now = self.view.load(at);
        if state(now) == State::Value && !value::is_block(now) { now } else { word }
    }

    /// Exchanges a value word; `false`: it is another one by now.
    #[inline]
    pub(super) fn put(&self, at: Address, word: u64, made: Made, old: Option<Block>) -> Result<bool> {
        nested::put(self.operation, at, word, made, old)
    }

    pub(super) fn delete(&self, entry: Address, order: u32, word: u64, old: Option<Block>) -> Result<bool> {
        let at = entry.wrapping_add(VALUE);
        let sequence = self.begin(Change::Delete, u64::from(entry));
        let gone = gone(self.holder().index, sequence);
        let done = match old {
            Some(block) if value::is_reference(word) => {
                nested::begin_drop(self.operation, block);
                self.memory().compare_exchange64(at, word, gone).is_ok()
            }
            Some(_) => self.operation.replace(at, word, gone, None, old)?.is_ok(),
            None => self.memory().compare_exchange64(at, word, gone).is_ok(),
        };
        if done {
            self.count(self.holder(), false, sequence);
            self.remove_ordered(entry, order)?;
        }
        self.end();
        nested::drop_begun(self.operation)?;
        if done {
            self.tidy(entry)?;
        }
        Ok(done)
    }

    /// An attempt at a key that is not there, whose entry would follow this link.
    pub(super) fn attempt_new(
        &self,
        key: &Key<'_>,
        order: u32,
        (at, link): (Address, Link),
        claimed: &mut Claimed,
        (made, wish): (Made, &Wish<'_>),
    ) -> Result<Attempt> {
        let (entry, sequence) = match *claimed {
            Some(claimed) => claimed,
            None => {
                let (entry, sequence) = self.claim_place(key)?;
                // Before anybody can find it: from here on the entry, if it is not given up, is counted.
                self.go_on(Change::Insert);
                *claimed.insert((entry, sequence))
            }
        };
        if !self.link(entry, order, at, link) {
            return Ok(Attempt::Again);
        }
        let mine = words::claimed(self.holder().index, sequence);
        wish.name(self.operation, entry.wrapping_add(VALUE));
        let done = self.put(entry.wrapping_add(VALUE), mine, made, None)?;
        *claimed = None;
        // Not done: another agent gave the entry its value, which is counted as this agent's.
        self.count(self.holder(), true, sequence);
        self.end();
        self.grow()?;
        Ok(if done { Attempt::Done } else { Attempt::Again })
    }
}

/// A value that is made once it is wanted, and then again only asked for.
pub(super) fn make_once(operation: &Operation, made: &mut Option<Made>, given: Given<'_>) -> Result<Made> {
    match *made {
        Some(made) => Ok(made),
        None => Ok(*made.insert(nested::make(operation, given)?)),
    }
}

/// Gives back what was made and not wanted.
pub(super) fn discard_made(operation: &Operation, made: Option<Made>) -> Result<()> {
    made.map_or(Ok(()), |made| made.discard(operation))
}

/// Gives a key this value.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`], those of [`string::make`]: the map is as it was.
pub fn set(operation: &Operation, handle: Handle, key: &Key<'_>, given: Given<'_>) -> Result<()> {
    let made = nested::make(operation, given)?;
    let done = change(operation, handle, key, &mut Wish::Set(made));
    if done.is_err() {
        made.discard(operation)?;
    }
    done
}

/// Gives a key this value if it is not there; if it is, answers the value that it has, as [`super::get`] does.
///
/// # Errors
/// As [`set`].
pub fn insert_if_absent(
    operation: &Operation,
    handle: Handle,
    key: &Key<'_>,
    given: Given<'_>,
    to: Address,
    room: u32,
) -> Result<Option<Taken>> {
    let mut wish = Wish::Insert { given, made: None, to, room, there: None };
    let done = change(operation, handle, key, &mut wish);
    let Wish::Insert { made, there, .. } = wish else { return Ok(None) };
    discard_made(operation, made).and(done).map(|()| there)
}

/// Removes a key; answers whether it was there.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn delete(operation: &Operation, handle: Handle, key: &Key<'_>) -> Result<bool> {
    let mut wish = Wish::Delete { was_there: false };
    change(operation, handle, key, &mut wish)?;
    Ok(matches!(wish, Wish::Delete { was_there: true }))
}

/// Adds to the number of a key, to 0 if it is not there, and answers the sum.
///
/// # Errors
/// As [`set`], and [`Error::NotANumber`].
pub fn add(operation: &Operation, handle: Handle, key: &Key<'_>, delta: f64) -> Result<f64> {
    let mut wish = Wish::Add { delta, sum: 0.0 };
    change(operation, handle, key, &mut wish)?;
    Ok(if let Wish::Add { sum, .. } = wish { sum } else { delta })
}

/// Gives a key the second value if it has the first, by contents; `None` is no value: a key that is not there, or that
/// is to go. Answers whether it was so.
///
/// # Errors
/// As [`set`].
pub fn compare_and_set(
    operation: &Operation,
    handle: Handle,
    key: &Key<'_>,
    expected: Option<Given<'_>>,
    given: Option<Given<'_>>,
) -> Result<bool> {
    let mut wish = Wish::Compare { expected, given, made: None, was_so: false };
    let done = change(operation, handle, key, &mut wish);
    let Wish::Compare { made, was_so, .. } = wish else { return Ok(false) };
    discard_made(operation, made).and(done).map(|()| was_so)
}

/// Removes every entry: one compare-exchange. What they took is given back by the changes that follow.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`]: the map is as it was. So it may be when memory is
/// full, because the empty map needs a head of its own first: deleting the keys one by one takes no memory.
pub fn clear(operation: &Operation, handle: Handle) -> Result<()> {
    let writer = Writer::enter(operation, handle)?;
    let done = writer.clear();
    if done.is_err() {
        writer.end();
    }
    writer.leave();
    done?;
    reclaim::take_cleared(operation, handle, &mut { reclaim::SLICE })
}

impl Writer<'_> {
    pub(super) fn clear(&self) -> Result<()> {
        let (view, memory) = (&self.view, self.memory());
        if view.load(view.field(CHUNKS)) == 0 {
            // Nobody ever had a place.
            return Ok(());
        }
        let places = view.load(view.field(TAIL)).saturating_add(1).saturating_mul(u64::from(PLACES));
        let base = view.load(view.field(BASE)).saturating_add(places);
        let head = make_head(self.operation, self.word, base, eras::now(memory, self.entry))?;
        // This agent meets the new head, too, which another may have cleared away by then. The old one it has met.
        while !self.covers() {}
        self.begin(Change::Clear, head.to_word());
        memory.store64(view.field(INSTALLED), 1);
        self.operation.publish(head)?;
        let at = self.entry.wrapping_add(object::VALUE);
        if memory.compare_exchange64(at, self.word, head.to_word()).is_ok() {
            reclaim::draw_era(view.table, self.entry, View::new(view.table, head.to_word())?);
            self.end();
            return Ok(());
        }
        // Another agent cleared the map meanwhile.
        crate::block::free(self.operation, head)?;
        self.end();
        Ok(())
    }
}

/// Takes apart all that a map or a list has given up, before memory is called exhausted.
pub(crate) fn finish_clear(operation: &Operation, handle: Handle, parts: &mut u32) -> Result<()> {
    match reclaim::take_cleared(operation, handle, parts) {
        // Another object's damage is not what the caller asks about.
        Err(Error::Corrupt { .. }) => Ok(()),
        done => done,
    }
}
