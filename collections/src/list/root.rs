//! Looking into a root: loads only, each address checked before it is followed. What a reader found is nothing until it has
//! seen that the root was the list's all the time.

use core::ops::Range;

use coheap_alloc::layout::{PAGE, slot};
use coheap_alloc::{Address, Error, Result, slot as slots};

use super::words::*;
use crate::cell::look_at;
use crate::object::Table;
use crate::{cell, map, rule, value};

/// A root, as far as it can be trusted: it lies in memory, its words before the entries in one page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) table: Table,
    pub(super) at: Address,
    pub(super) word: u64,
    room: u32,
    pub(super) frozen: u32,
    pub(super) tail: u32,
    pub(super) number: u32,
}

/// Where a root ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// How many values it has.
    pub(super) length: u32,
    /// The cell that is filled next.
    pub(super) at: Address,
    /// How many entries have chunks.
    pub(super) used: u32,
    /// The cell is an entry, and room for a chunk if this says so.
    pub(super) is_entry: bool,
}

/// What an entry has of a list: values, in places from `at` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) chunk: u64,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) place: u32,
    /// The era in which the chunk was made.
    pub(super) made: u64,
}

impl Segment {
    /// Where the place of a value of this segment is.
    pub(super) fn at(&self, index: u32) -> Address {
        let place = self.place.wrapping_add(index.wrapping_sub(self.start));
        (self.chunk as Address).wrapping_add(place.wrapping_mul(8))
    }
}

#[cold]
pub(super) fn corrupt<R>(address: Address) -> Result<R> {
    Err(Error::corrupt(rule::LIST, address))
}

/// Refuses what does not lie in memory.
#[inline(never)]
pub(super) fn check(table: Table, at: Address, size: u32) -> Result<()> {
    let lies = at >= PAGE && at.is_multiple_of(8) && table.memory.has(at, size);
    if lies { Ok(()) } else { corrupt(at) }
}

/// The first of `low..high` that is not so; all before are.
fn partition(mut low: u32, mut high: u32, is_so: impl Fn(u32) -> bool) -> u32 {
    while low < high {
        let middle = low + (high - low) / 2;
        if is_so(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

impl Root {
    /// The root of a block word.
    #[inline(never)]
    pub(super) fn new(table: Table, word: u64) -> Result<Self> {
        let at = word as Address;
        check(table, at, ENTRIES)?;
        let load = |offset: Address| table.memory.load64(at.wrapping_add(offset));
        let rooms = load(ROOM);
        let (room, frozen) = (rooms as u32, (rooms >> 32) as u32);
        let tails = load(TAIL);
        let (tail, number) = (tails as u32, (tails >> 32) as u32);
        if at % PAGE > PAGE - ENTRIES || frozen > room || room > LONGEST / 8 || tail > LONGEST {
            return corrupt(at);
        }
        check(table, at, root_size(room))?;
        Ok(Self { table, at, word, room, frozen, tail, number })
    }

    /// As [`Root::new`], for who writes to it: it begins in a page of the heap's.
    #[inline(never)]
    pub(super) fn own(table: Table, word: u64) -> Result<Self> {
        table.check_own(word as Address)?;
        Self::new(table, word)
    }

    pub(super) fn load(&self, offset: Address) -> u64 {
        self.table.memory.load64_ordered(self.field(offset))
    }

    pub(super) fn field(&self, offset: Address) -> Address {
        self.at.wrapping_add(offset)
    }

    pub(super) fn room(&self) -> u32 {
        self.room
    }

    /// Where an entry is.
    pub(super) fn entry(&self, number: u32) -> Address {
        self.field(ENTRIES.wrapping_add(number.wrapping_mul(ENTRY)))
    }

    fn chunk(&self, number: u32) -> u64 {
        self.table.memory.load64(self.entry(number))
    }

    fn start(&self, number: u32) -> u64 {
        self.table.memory.load64(self.entry(number).wrapping_add(START))
    }

    /// Which value is the first of an entry.
    pub(super) fn first_of(&self, number: u32) -> u32 {
        match number.checked_sub(self.frozen) {
            None => self.start(number) as u32,
            Some(chunk) => self.tail.saturating_add(begin(chunk)),
        }
    }

    /// The era in which it was made.
    pub(super) fn made(&self) -> u64 {
        self.table.memory.load64(self.field(ROOT_MADE))
    }

    /// The values of an entry, of as many as there are.
    #[inline(never)]
    pub(super) fn segment(&self, number: u32, length: u32) -> Segment {
        let (place, made) = if number < self.frozen {
            let made = self.table.memory.load64(self.entry(number).wrapping_add(CHUNK_MADE));
            ((self.start(number) >> 32) as u32, made)
        } else {
            (0, self.made())
        };
        let start = self.first_of(number).min(length);
        let end = self.first_of(number + 1).clamp(start, length);
        Segment { chunk: self.chunk(number), start, end, place, made }
    }

    /// In which entry a value is. One behind the last of all may have none.
    pub(super) fn entry_of(&self, index: u32) -> u32 {
        match index.checked_sub(self.tail) {
            None => partition(0, self.frozen, |number| self.start(number) as u32 <= index).saturating_sub(1),
            Some(value) => self.frozen.saturating_add(chunk_of(value)),
        }
    }

    /// Where the place of a value is; `None`: its chunk is not there yet.
    #[inline(never)]
    pub(super) fn place(&self, index: u32) -> Result<Option<Address>> {
        let number = self.entry_of(index);
        if number >= self.room {
            return Ok(None);
        }
        let segment = self.segment(number, u32::MAX);
        if is_forward_or_none(segment.chunk) {
            return Ok(None);
        }
        let at = segment.at(index);
        check(self.table, at, 8).map(|()| Some(at))
    }

    /// Where it ends now.
    #[inline(never)]
    pub(super) fn end(&self) -> Result<End> {
        let used = partition(self.frozen, self.room, |number| !is_forward_or_none(self.chunk(number)));
        let tail = self.tail;
        if !is_forward_or_none(self.chunk(self.room)) {
            // Nobody puts a chunk there.
            return corrupt(self.at);
        }
        let Some(last) = used.checked_sub(self.frozen + 1) else {
            return Ok(End { length: tail, at: self.entry(used), used, is_entry: true });
        };
        let chunk = self.chunk(used - 1) as Address;
        check(self.table, chunk, places(last) * 8)?;
        let is_filled = |word: u64| word != value::EMPTY && !is_forward(word);
        let place_at = |place: u32| chunk.wrapping_add(place * 8);
        let filled = partition(0, places(last), |place| is_filled(self.table.memory.load64(place_at(place))));
        let is_entry = filled == places(last);
        let at = if is_entry { self.entry(used) } else { place_at(filled) };
        Ok(End { length: tail.saturating_add(begin(last)).saturating_add(filled), at, used, is_entry })
    }

    /// What the next root does not have, of how many values; `None`: the list still has this one.
    pub(super) fn lost(&self) -> Option<(Range<u32>, u32)> {
        let length = self.load(LENGTH).checked_sub(1)?;
        let lost = self.load(LOST);
        Some((lost as u32..(lost >> 32) as u32, length as u32))
    }

    /// Whether the next root has values of the chunk of an entry, if it has none of the range `lost` of `length` values.
    pub(super) fn lives_on(&self, number: u32, lost: &Range<u32>, length: u32) -> bool {
        let stays = |segment: &Segment| segment.start < lost.start || segment.end > lost.end;
        let of = |number: u32| Some(self.segment(number, length)).filter(|segment| segment.start < segment.end);
        let Some(own) = of(number) else { return false };
        if stays(&own) {
            return true;
        }
        let mut kept = (0..self.frozen.min(self.entry_of(lost.start) + 1)).chain(self.entry_of(lost.end)..self.frozen);
        let is_of = |other: u32| self.chunk(other) == own.chunk && of(other).is_some_and(|segment| stays(&segment));
        !self.is_alone(number, &own) && kept.any(is_of)
    }

    /// Whether no other entry can have the chunk of this one: as most.
    fn is_alone(&self, number: u32, segment: &Segment) -> bool {
        number >= self.frozen || segment.end - segment.start == LARGEST
    }

    /// Whether no later entry has the chunk of this one.
    pub(super) fn is_last(&self, number: u32, segment: &Segment) -> bool {
        self.is_alone(number, segment)
            || !(number + 1..self.frozen).any(|other| self.chunk(other) == self.chunk(number))
    }
}

/// Where the word is that a place has while a change of it is under way, if the change's record still is that one.
fn standing(table: Table, word: u64) -> Result<Address> {
    let index = value::payload(word) >> 32;
    let Some(slot) = slots::find(table.memory, table.control, index as u32) else { return corrupt(0) };
    let is_done = table.memory.load64_ordered(slot.wrapping_add(slot::SETTING)) == setting(word as u32, DONE);
    Ok(slot.wrapping_add(if is_done { slot::SET_NEW } else { slot::SET_OLD }))
}

/// The word of a place, or while a change of it is under way that which stands for it. Lock-free: another round means that another agent
/// changed the place.
pub(crate) fn word_of(table: Table, at: Address) -> u64 {
    loop {
        let word = table.memory.load64_ordered(at);
        if !is_operation(word) {
            return word;
        }
        let Ok(from) = standing(table, word) else { return word };
        let stands = table.memory.load64_ordered(from);
        if table.memory.load64_ordered(at) == word {
            return stands;
        }
    }
}

/// What stands in a place: the word of a value, or of none, and how many bytes its record has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) word: u64,
    pub(super) size: u32,
    /// A word that names a block, or is a value by itself.
    pub(super) is_value: bool,
}

/// As [`look_at`], of a place of a list, whose value's record goes to `to` if that has room. Lock-free: another round means that
/// another agent changed the place.
#[inline(never)]
pub(super) fn look(table: Table, at: Address, to: Address, room: u32) -> Result<Found> {
    loop {
        let word = table.memory.load64_ordered(at);
        let from = if is_operation(word) { standing(table, word)? } else { at };
        let found = look_at(table, from, |word, stored| {
            let size = map::size_of(stored);
            let is_value = stored.is_some() || cell::is_known(table, word);
            if is_value && size <= room {
                map::record(table.memory, word, stored, to);
            }
            Ok(Found { word, size, is_value })
        });
        // What was read of a record holds if its change is still under way.
        let holds = from == at || table.memory.load64_ordered(at) == word;
        let is_value = !matches!(found, Ok(Found { word, .. }) if is_operation(word));
        if holds && (is_value || from != at) {
            return if is_value { found } else { corrupt(from) };
        }
    }
}

/// Whether an entry has no chunk.
pub(super) fn is_forward_or_none(chunk: u64) -> bool {
    chunk == 0 || is_forward(chunk)
}

/// Whether a word of a place is a value.
pub(super) fn is_value(word: u64) -> bool {
    word != value::EMPTY && !is_forward(word)
}
