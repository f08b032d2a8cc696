//! Reading many entries at once, in the order of the log.
//!
//! A record is u32 kind · u32 · f64 number · contents, padded to 8; an entry is the record of its key, with the low half of
//! the entry's position in the second u32, and that of its value. The kinds are those by which values cross to JavaScript:
//!
//! | kind | the number | contents |
//! |---|---|---|
//! | 0 | a number, itself | |
//! | 1 | 0 undefined, 1 null, 2 false, 3 true | |
//! | 2 | the payload of a string in its word | |
//! | 3 | the number of an atom | |
//! | 8 + form | bytes of the contents | the contents |

use coheap_alloc::{Address, Memory, Result};

use super::log::{self, Located, entry_at};
use super::transaction::look_at_value;
use super::view::{View, corrupt};
use super::words::*;
use super::{Batch, read};
use crate::cell::{self, look_at};
use crate::object::{Handle, Table};
use crate::string::Stored;
use crate::value::{self, Tag};

/// Bytes of a record before its contents.
const RECORD: u32 = 16;
const CONTENTS: u32 = 8;

/// Copies up to `limit` entries from the position `from` on to `room` bytes at `to` (a multiple of 8) that only this
/// agent uses. Entries that are there from the first batch to the last are in exactly one, all others in at most one.
/// None and nothing needed: there are no more. Stores nothing else; linear in the places that it passes.
///
/// # Errors
/// [`coheap_alloc::Error::StaleHandle`], [`coheap_alloc::Error::WrongType`], [`coheap_alloc::Error::Corrupt`].
pub fn entries(table: Table, handle: Handle, from: u64, limit: u32, to: Address, room: u32) -> Result<Batch> {
    read(table, handle, |view| batch(view, from, limit, to, room & !7))
}

fn batch(view: View, from: u64, limit: u32, to: Address, room: u32) -> Result<Batch> {
    let base = view.load(view.field(BASE));
    let index = from.saturating_sub(base);
    #[cfg(feature = "controls")]
    // Seeded bug: who goes on, near the beginning so that there is an end, meets an entry again.
    let index = index.saturating_sub(u64::from(index < 1000 && crate::controls::is_on(crate::controls::BATCH_AGAIN)));
    let (mut number, mut place) = (index / u64::from(PLACES), (index % u64::from(PLACES)) as u32);
    let mut done = Batch { next: 0, count: 0, needed: 0 };
    let (mut used, mut rounds) = (0, 0);
    let position = |number: u64, place: u32| base.wrapping_add(number * u64::from(PLACES) + u64::from(place));
    'chunks: loop {
        done.next = position(number, place);
        if !log::can_be(number) {
            break;
        }
        view.bound_pairs(&mut rounds)?;
        let chunk = match view.locate(number)? {
            Located::Missing(..) => break,
            Located::Dead(next) => {
                (number, place) = (next, 0);
                continue;
            }
            Located::Pair(pair) => match (view.load(pair), view.load(pair.wrapping_add(RETIRED))) {
                (0, _) => break,
                (DEAD, _) => None,
                (word, 0) => Some(view.chunk(word)?),
                _ => None,
            },
        };
        if let Some(chunk) = chunk {
            while place < PLACES {
                done.next = position(number, place);
                let entry = entry_at(chunk, place);
                match state(view.load(entry.wrapping_add(VALUE))) {
                    // Places are claimed in order.
                    State::Empty => break 'chunks,
                    State::Value | State::Joined if done.count == limit => break 'chunks,
                    State::Value | State::Joined => match write(&view, entry, to.wrapping_add(used), room - used)? {
                        Written::Gone => {}
                        Written::Bytes(size) => {
                            let head = to.wrapping_add(used);
                            view.table.memory.set_own32(head.wrapping_add(4), done.next as u32);
                            used += size;
                            done.count += 1;
                        }
                        Written::NoRoom(size) => {
                            if done.count == 0 {
                                done.needed = size;
                            }
                            break 'chunks;
                        }
                    },
                    _ => {}
                }
                place += 1;
            }
        }
        (number, place) = (number + 1, 0);
    }
    Ok(done)
}

enum Written {
    /// Deleted meanwhile.
    Gone,
    /// So many bytes.
    Bytes(u32),
    /// It has so many, which is more than there are.
    NoRoom(u32),
}

/// Bytes of the record of a value.
pub(crate) fn size_of(stored: Option<&Stored>) -> u32 {
    RECORD.saturating_add(stored.map_or(0, |stored| stored.length.min(u32::MAX - 7).next_multiple_of(8)))
}

fn write(view: &View, entry: Address, to: Address, room: u32) -> Result<Written> {
    let (key_at, value_at) = (entry.wrapping_add(KEY), entry.wrapping_add(VALUE));
    let memory = view.table.memory;
    // Lock-free: another round means that another agent changed the entry.
    loop {
        let key = look_at(view.table, key_at, |word, stored| {
            let size = size_of(stored);
            if size <= room {
                record(memory, word, stored, to);
            }
            Ok((word, size))
        });
        let (key, size) = match key {
            Ok((value::EMPTY, _)) => return Ok(Written::Gone),
            Ok(found) => found,
            Err(error) => return Err(error),
        };
        let value = look_at_value(view.table, value_at, |word, stored| {
            if stored.is_none() && state(word) != State::Value {
                return Ok(None);
            }
            if stored.is_none() && !cell::is_known(view.table, word) {
                return corrupt(value_at);
            }
            let whole = size.saturating_add(size_of(stored));
            if whole <= room {
                record(memory, word, stored, to.wrapping_add(size));
            }
            Ok(Some(whole))
        })?;
        let Some(whole) = value else { return Ok(Written::Gone) };
        // The key was there when the value was: then it is this value's.
        if memory.load64_ordered(key_at) == key {
            return Ok(if whole <= room { Written::Bytes(whole) } else { Written::NoRoom(whole) });
        }
    }
}

/// Writes the record of a value, whose contents are copied.
pub(crate) fn record(memory: Memory, word: u64, stored: Option<&Stored>, to: Address) {
    let (kind, number) = match stored {
        Some(stored) => {
            memory.copy_within(stored.at(), to.wrapping_add(RECORD), stored.length);
            (CONTENTS + stored.form as u32, f64::from(stored.length))
        }
        None => match value::tag(word) {
            None => (0, f64::from_bits(word)),
            Some(Tag::Special) => (1, value::payload(word) as f64),
            Some(Tag::Short) => (2, value::payload(word) as f64),
            Some(_) => (3, value::payload(word) as f64),
        },
    };
    memory.set_own64(to, u64::from(kind));
    memory.set_own64(to.wrapping_add(8), number.to_bits());
}
