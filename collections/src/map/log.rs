//! The log: the entries in the order in which their insertions began.
//!
//! The place of an entry is claimed by exchanging its value word; a place is never used twice. Chunks of places hang on
//! pairs ([`super::words`]), those on nodes: what hangs on a pair never moves, and the log grows by one chunk or one node
//! at a time.

use coheap_alloc::{Address, Block, Result};

use super::eras;
use super::key::Key;
use super::view::{View, corrupt};
use super::words::*;
use super::writer::Writer;
use crate::count::Change;
use crate::string::{self, Given};
use crate::value;

/// Where a chunk is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Located {
    /// On this pair.
    Pair(Address),
    /// Nowhere yet: this pair has no node of so many pairs.
    Missing(Address, u32),
    /// It is gone, and all up to the chunk of this number.
    Dead(u64),
}

/// The pairs on the way to a chunk, the one nearest to the head first.
pub(super) type Path = ([Address; SEGMENT_COUNT as usize + 1], usize);

/// Which segment a chunk is of, and its number there.
fn segment(number: u64) -> Option<(u32, u64)> {
    let mut left = number - FIRST_CHUNKS;
    let mut size = u64::from(SMALL_NODE);
    for segment in 0..SEGMENT_COUNT {
        if left < size {
            return Some((segment, left));
        }
        left -= size;
        size = if segment == 0 { u64::from(NODE) } else { size * u64::from(NODE) };
    }
    None
}

/// Where the pair lies that a chunk hangs on, or on which a tree of so many levels of nodes hangs in which it has this index.
pub(super) fn first_pair(head: Address, number: u64) -> Option<(Address, u32, u64)> {
    if number < FIRST_CHUNKS {
        return Some((head.wrapping_add(CHUNKS + number as u32 * PAIR), 0, 0));
    }
    let (segment, index) = segment(number)?;
    Some((head.wrapping_add(SEGMENTS + segment * PAIR), segment.max(1), index))
}

/// Whether a chunk can have this number.
pub(super) fn can_be(number: u64) -> bool {
    number < FIRST_CHUNKS || segment(number).is_some()
}

impl View {
    /// The pair of a chunk, and those before it. At most seven steps.
    pub(super) fn path(&self, number: u64) -> Result<(Located, Path)> {
        let mut path = [0; SEGMENT_COUNT as usize + 1];
        if number < FIRST_CHUNKS {
            path[0] = self.field(CHUNKS + number as u32 * PAIR);
            return Ok((Located::Pair(path[0]), (path, 1)));
        }
        let Some((segment, index)) = segment(number) else { return corrupt(self.head) };
        let mut pair = self.field(SEGMENTS + segment * PAIR);
        let (height, count) = if segment == 0 { (1, SMALL_NODE) } else { (segment, NODE) };
        for level in 0..height {
            path[level as usize] = pair;
            let (word, retired) = (self.load(pair), self.load(pair.wrapping_add(RETIRED)));
            // Chunks that hang on a pair of the node.
            let below = 8 * (height - 1 - level);
            if word == DEAD || retired != 0 {
                let all = u64::from(count) << below;
                return Ok((Located::Dead(number - index % all + all), (path, level as usize + 1)));
            }
            if word == 0 {
                return Ok((Located::Missing(pair, count), (path, level as usize + 1)));
            }
            let node = self.block(word, node_size(count))?;
            pair = node.wrapping_add((index >> below) as u32 % count * PAIR);
        }
        path[height as usize] = pair;
        Ok((Located::Pair(pair), (path, height as usize + 1)))
    }

    pub(super) fn locate(&self, number: u64) -> Result<Located> {
        self.path(number).map(|(located, _)| located)
    }

    /// What hangs on a pair, and when it was retired.
    pub(super) fn pair(&self, pair: Address) -> (u64, u64) {
        (self.load(pair), self.load(pair.wrapping_add(RETIRED)))
    }

    /// Where the chunk of a pair's word is.
    pub(super) fn chunk(&self, word: u64) -> Result<Address> {
        let at = self.block(word, CHUNK_SIZE)?;
        if at.is_multiple_of(CHUNK_SIZE) { Ok(at) } else { corrupt(at) }
    }
}

/// Where an entry of a chunk is.
pub(super) fn entry_at(chunk: Address, place: u32) -> Address {
    chunk.wrapping_add(ENTRIES + place * ENTRY)
}

impl Writer<'_> {
    /// As [`View::path`], and what hangs on the pair of the chunk, of nodes and a chunk that stay. Lock-free: another round means that
    /// another agent took something out of the map.
    pub(super) fn path(&self, number: u64) -> Result<(Located, Path, (u64, u64))> {
        loop {
            let found = self.view.path(number).map(|(located, path)| {
                let hangs = if let Located::Pair(pair) = located { self.view.pair(pair) } else { (0, 0) };
                (located, path, hangs)
            });
            if self.covers() {
                return found;
            }
        }
    }

    /// Claims a place for a key, under the sequence of the answer. From here on recovery gives it up.
    pub(super) fn claim_place(&self, key: &Key<'_>) -> Result<(Address, u64)> {
        let Some(body) = key.body() else {
            let (at, sequence) = self.take_place()?;
            self.memory().store64(at.wrapping_add(KEY), key.word().unwrap_or(value::EMPTY));
            return Ok((at, sequence));
        };
        let made = string::make(self.operation, Given::Block(*body))?;
        let claimed = self.take_place().and_then(|(at, sequence)| {
            match self.operation.replace(at.wrapping_add(KEY), value::EMPTY, made.word, made.block, None) {
                Ok(Ok(())) => Ok((at, sequence)),
                done => self.discard(Some((at, sequence))).and(done).and_then(|_| corrupt(at)),
            }
        });
        if claimed.is_err() {
            made.discard(self.operation)?;
        }
        claimed
    }

    /// The first place that is nobody's. Lock-free: places are taken in order, so another round means that one was.
    fn take_place(&self) -> Result<(Address, u64)> {
        let (view, memory) = (&self.view, self.memory());
        let slot = self.holder().index;
        let tail = view.load(view.field(TAIL));
        let mut number = tail;
        let (mut sequence, mut rounds) = (None, 0);
        loop {
            view.bound_pairs(&mut rounds)?;
            let (located, _, (word, retired)) = self.path(number)?;
            let pair = match located {
                Located::Pair(pair) => pair,
                Located::Missing(pair, count) => {
                    let node = self.allocate(node_size(count))?;
                    memory.set_own64(node.address.wrapping_add(node_made(count)), eras::now(memory, self.entry));
                    self.install(pair, node)?;
                    // Memory that was short may have been found by a change of a count of its own: the record is another.
                    sequence = None;
                    continue;
                }
                Located::Dead(next) => {
                    number = next;
                    continue;
                }
            };
            if word == 0 {
                let chunk = self.make_chunk(number)?;
                self.install(pair, chunk)?;
                sequence = None;
                continue;
            }
            if word != DEAD && retired == 0 {
                let chunk = view.chunk(word)?;
                // It is in one page.
                view.table.check_own(chunk)?;
                for at in (0..PLACES).map(|place| entry_at(chunk, place)) {
                    if view.load(at.wrapping_add(VALUE)) != value::EMPTY {
                        continue;
                    }
                    let sequence = match sequence {
                        None => *sequence.insert(self.begin(Change::Claim, u64::from(at))),
                        Some(sequence) => {
                            self.place(u64::from(at));
                            sequence
                        }
                    };
                    let claimed = claimed(slot, sequence);
                    if memory.compare_exchange64(at.wrapping_add(VALUE), value::EMPTY, claimed).is_ok() {
                        return Ok((at, sequence));
                    }
                }
            }
            number += 1;
            let seen = view.load(view.field(TAIL));
            if seen < number {
                let _ = memory.compare_exchange64(view.field(TAIL), seen, number);
            }
        }
    }

    fn make_chunk(&self, number: u64) -> Result<Block> {
        // Who only inserts goes on with what others left, too.
        super::go_on(self.operation)?;
        let chunk = self.allocate(CHUNK_SIZE)?;
        let memory = self.memory();
        memory.set_own64(chunk.address.wrapping_add(NUMBER), number);
        memory.set_own64(chunk.address.wrapping_add(CHUNK_MADE), eras::now(memory, self.entry));
        for at in (0..PLACES).map(|place| entry_at(chunk.address, place)) {
            memory.set_own64(at.wrapping_add(KEY), value::EMPTY);
            memory.set_own64(at.wrapping_add(VALUE), value::EMPTY);
        }
        Ok(chunk)
    }

    /// Hangs a block on a pair, unless another agent has.
    fn install(&self, pair: Address, block: Block) -> Result<()> {
        if self.operation.replace(pair, 0, block.to_word(), Some(block), None)?.is_err() {
            crate::block::free(self.operation, block)?;
        }
        Ok(())
    }

    /// Gives up a place that this agent, or the one that it acts for, claimed and that has no value; whether it was so.
    pub(super) fn give_up(&self, at: Address, slot: u32, sequence: u64) -> Result<bool> {
        let value_at = at.wrapping_add(VALUE);
        if self.memory().compare_exchange64(value_at, claimed(slot, sequence), abandoned(slot, sequence)).is_err() {
            return Ok(false);
        }
        self.remove(at).map(|()| true)
    }
}
