//! A map from numbers and strings to values, in insertion order, as JavaScript's `Map`.
//!
//! The truth is a log of entries in the order in which their insertions began ([`log`]); a derived index finds them
//! ([`index`]). An entry is a key, a value word and a link of the index:
//!
//! `EMPTY → claimed → value ⇄ value → gone → out`
//!
//! each arrow one compare-exchange of the value word. Only *value* is an entry of the map; a place is claimed, given its
//! key, linked, and then gets its value. What is *gone* is taken out of the index and loses its key, by whoever meets it;
//! then it is *out*, and a chunk of which all is out is freed ([`reclaim`]).
//!
//! # Consistency
//! Linearizable, each operation on a key, and [`clear`]. Two insertions of one key at once are one entry, and both happen.
//! The order of the entries is that in which their insertions began. [`size`] is exact when nobody changes the map; a
//! change that is under way may be counted or not. Entries are read in batches: what is there all the time comes exactly
//! once, what comes or goes meanwhile at most once.
//!
//! Reads store nothing. They walk, copy, and see afterwards that neither the map's head nor its era ([`writer`]) is
//! another: nothing that could be met was freed meanwhile. Lock-free: a read that begins anew means that a chunk of
//! entries was deleted, or the map cleared.
//!
//! # If the caller dies here
//! A change has happened or not ([`settle`]). What it had claimed is not there for others, and its recovery gives it up.
//! An agent that died at work holds back memory that the map gives up afterwards, and its change may not be counted, until it is recovered.
//!
//! # Not promised
//! Comparing block words is as in [`crate::cell`]. Nothing here blocks.

mod audit;
mod entries;
mod index;
mod key;
mod log;
#[cfg(shuttle)]
pub mod parts;
mod place;
mod reclaim;
mod settle;
mod view;
mod words;
mod writer;

use coheap_alloc::{Address, Block, Error, Operation, Result};

use crate::cell::{self, Taken, look_at};
use crate::claim::{self, claim};
use crate::count::Change;
use crate::object::{self, ERA, Handle, Info, Table, Type};
use crate::string::{self, Given, Made, Stored};
use crate::{nested, value};

pub use entries::entries;
pub use key::Key;
pub use place::{Located, Place, Seen, change_at, is_same_at, locate, number_at};
pub use writer::{is_before, publish_era, raise_era};

pub(crate) use audit::visit;
pub(crate) use reclaim::{Finished, finish, go_on, leave_rest, take_hint};
pub(crate) use settle::settle;

use index::Found;
use view::{View, corrupt};
use words::*;
use writer::Writer;

/// What [`entries`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The position that the next batch begins at.
    pub next: u64,
    /// Entries that were written.
    pub count: u32,
    /// Bytes that the next entry needs if not even one had room, else 0.
    pub needed: u32,
}

/// Makes an anonymous map. It lives until its last reference is given back; this agent has one.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn create(operation: &Operation) -> Result<Handle> {
    make(operation, None)
}

pub(crate) fn make(operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Map)?;
    match make_head(operation, 0, 0) {
        Ok(head) => claim::publish(operation, claim, head.to_word(), Info::new(0, bucket), Some(head)),
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

/// A private head without entries.
fn make_head(operation: &Operation, previous: u64, base: u64) -> Result<Block> {
    let head = writer::allocate(operation, HEAD_SIZE)?;
    let memory = operation.memory();
    let words = [
        (BUCKET_COUNT, 1),
        (PREVIOUS, previous),
        (BASE, base),
        // The first bucket is where the list begins.
        (BUCKETS, Link::LISTED),
    ];
    for (offset, word) in words {
        memory.set_own64(head.address.wrapping_add(offset), word);
    }
    Ok(head)
}

/// Reads: `f` is called until nothing that it could meet was freed meanwhile.
#[inline]
fn read<R>(table: Table, handle: Handle, mut f: impl FnMut(View) -> Result<R>) -> Result<R> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let memory = table.memory;
    let (era_at, word_at) = (entry.wrapping_add(ERA), entry.wrapping_add(object::VALUE));
    loop {
        let era = memory.load64(era_at);
        let word = memory.load64(word_at);
        let found = View::new(table, word).and_then(|view| f(view.watching(era_at, era)));
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::READ_WITHOUT_ERA) {
            // Seeded bug: what was read may have been freed and used again.
            return found;
        }
        let same = memory.load64_ordered(era_at) == era && memory.load64_ordered(word_at) == word;
        // It was this map's, if the entry is.
        table.check(entry, handle, Type::Map)?;
        if same {
            return found;
        }
    }
}

/// The value of a key, `None` if it is not there. Contents of a block of at most `room` bytes are copied to `to`, which
/// only this agent uses; of larger ones nothing is. Stores nothing else.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
#[inline]
pub fn get(table: Table, handle: Handle, key: &Key<'_>, to: Address, room: u32) -> Result<Option<Taken>> {
    let order = key.order(table)?;
    read(table, handle, |view| match view.find(key, order)? {
        Some((_, word)) if !value::is_block(word) => plain(table, word),
        Some((entry, _)) => take(table, entry, to, room),
        None => Ok(None),
    })
}

#[inline]
fn plain(table: Table, word: u64) -> Result<Option<Taken>> {
    match state(word) {
        State::Value if value::to_number(word).is_some() || cell::is_known(table, word) => {
            Ok(Some(Taken::new(word, None)))
        }
        State::Value => corrupt(0),
        _ => Ok(None),
    }
}

/// The value of an entry, if it has one.
#[inline(never)]
fn take(table: Table, entry: Address, to: Address, room: u32) -> Result<Option<Taken>> {
    look_at(table, entry.wrapping_add(VALUE), |word, stored| {
        let Some(stored) = stored else { return plain(table, word) };
        if stored.length <= room {
            table.memory.copy_within(stored.at(), to, stored.length);
        }
        Ok(Some(Taken::new(word, Some(stored))))
    })
}

/// Whether the key is there. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn has(table: Table, handle: Handle, key: &Key<'_>) -> Result<bool> {
    let order = key.order(table)?;
    read(table, handle, |view| Ok(view.find(key, order)?.is_some_and(|(_, word)| state(word) == State::Value)))
}

/// How many entries there are. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn size(table: Table, handle: Handle) -> Result<u64> {
    // A deletion may be counted before the insertion of what it deleted.
    read(table, handle, |view| Ok((view.load(view.field(COUNT)) as i32).max(0) as u64))
}

/// What is to become of a key.
enum Action {
    /// It stays as it is.
    Keep,
    /// It gets this value.
    Put(Made),
    /// It goes.
    Remove,
}

/// What a caller wants of a key, and what came of it.
enum Wish<'a> {
    Set(Made),
    Insert { given: Given<'a>, made: Option<Made>, to: Address, room: u32, there: Option<Taken> },
    Delete { was_there: bool },
    Add { delta: f64, sum: f64 },
    Compare { expected: Option<Given<'a>>, given: Option<Given<'a>>, made: Option<Made>, was_so: bool },
}

impl Wish<'_> {
    /// Decides by the value that the key has, if it has one. It is asked again when another agent changed that meanwhile.
    fn decide(&mut self, operation: &Operation, found: Option<(u64, Option<&Stored>)>) -> Result<Action> {
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
                        .ok_or(Error::NotANumber { found: value::tag(word).map_or(0, |tag| tag as u32) })?,
                };
                *sum = before + *delta;
                Ok(Action::Put(Made { word: value::from_number(*sum), block: None }))
            }
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

/// A place that was claimed for the key, and the sequence under which its entry will be counted.
type Claimed = Option<(Address, u64)>;

/// How an attempt at a change ended.
enum Attempt {
    Done,
    /// Another agent changed the entry, or the index.
    Again,
}

/// Changes the entry of a key as the wish decides.
fn change(operation: &Operation, handle: Handle, key: &Key<'_>, wish: &mut Wish<'_>) -> Result<()> {
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
fn attempt(
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
            Action::Put(made) => writer.attempt_new(key, order, (at, link), claimed, made),
        },
    }
}

impl Writer<'_> {
    /// Gives up what was claimed and is not needed.
    fn discard(&self, claimed: Claimed) -> Result<()> {
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
    fn attempt_at(&self, entry: Address, order: u32, wish: &mut Wish<'_>) -> Result<Attempt> {
        let at = entry.wrapping_add(VALUE);
        let found = look_at(self.view.table, at, |word, stored| {
            let there = match state(word) {
                State::Value => Some((word, stored)),
                State::Claimed => None,
                _ => return Ok(None),
            };
            Ok(Some((word, stored.map(Stored::block), wish.decide(self.operation, there)?)))
        })?;
        let Some((word, old, action)) = found else { return Ok(Attempt::Again) };
        #[cfg(feature = "controls")]
        let word = self.lose_update(at, word);
        let done = match action {
            Action::Keep => true,
            Action::Put(made) => self.put(at, word, made, old)?,
            // Claimed: it is not there.
            Action::Remove if state(word) == State::Claimed => true,
            Action::Remove => self.delete(entry, order, word, old)?,
        };
        Ok(if done { Attempt::Done } else { Attempt::Again })
    }

    /// Seeded bug: what another agent did between the look and the exchange is overwritten.
    #[cfg(feature = "controls")]
    fn lose_update(&self, at: Address, word: u64) -> u64 {
        if !crate::controls::is_on(crate::controls::LOST_UPDATE) || value::is_block(word) {
            return word;
        }
        for _ in 0..1000 {
            core::hint::spin_loop();
        }
        let now = self.view.load(at);
        if state(now) == State::Value && !value::is_block(now) { now } else { word }
    }

    /// Exchanges a value word; `false`: it is another one by now.
    #[inline]
    fn put(&self, at: Address, word: u64, made: Made, old: Option<Block>) -> Result<bool> {
        if value::is_reference(word) || value::is_reference(made.word) {
            return nested::replace(self.operation, at, word, made, old);
        }
        if made.block.is_none() && old.is_none() {
            return Ok(self.memory().compare_exchange64(at, word, made.word).is_ok());
        }
        Ok(self.operation.replace(at, word, made.word, made.block, old)?.is_ok())
    }

    fn delete(&self, entry: Address, order: u32, word: u64, old: Option<Block>) -> Result<bool> {
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
    fn attempt_new(
        &self,
        key: &Key<'_>,
        order: u32,
        (at, link): (Address, Link),
        claimed: &mut Claimed,
        made: Made,
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
fn make_once(operation: &Operation, made: &mut Option<Made>, given: Given<'_>) -> Result<Made> {
    match *made {
        Some(made) => Ok(made),
        None => Ok(*made.insert(nested::make(operation, given)?)),
    }
}

/// Gives back what was made and not wanted.
fn discard_made(operation: &Operation, made: Option<Made>) -> Result<()> {
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

/// Gives a key this value if it is not there; if it is, answers the value that it has, as [`get`] does.
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
    reclaim::take_cleared(operation, handle, reclaim::SLICE)
}

impl Writer<'_> {
    fn clear(&self) -> Result<()> {
        let (view, memory) = (&self.view, self.memory());
        if view.load(view.field(CHUNKS)) == 0 {
            // Nobody ever had a place.
            return Ok(());
        }
        let places = view.load(view.field(TAIL)).saturating_add(1).saturating_mul(u64::from(PLACES));
        let base = view.load(view.field(BASE)).saturating_add(places);
        let head = make_head(self.operation, self.word, base)?;
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

/// Takes apart all that was cleared away from a map, before memory is called exhausted.
pub(crate) fn finish_clear(operation: &Operation, handle: Handle) -> Result<()> {
    match reclaim::take_cleared(operation, handle, u32::MAX) {
        // Another map's damage is not what the caller asks about.
        Err(Error::Corrupt { .. }) => Ok(()),
        done => done,
    }
}
