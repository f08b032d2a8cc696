//! What a map gives back, and when.
//!
//! * A *chunk* of which every place is out, and a node of which every pair is dead, are retired: the pair says so, the
//!   era rises, and when no agent may meet it any more ([`super::eras`]) the block is freed. The one who deleted last does it; what he had
//!   to leave, because somebody was at work, is found by the sweep that goes on with each deletion.
//! * A *head* that was cleared away hangs on the next one until no agent may meet it, and then is taken apart, some of it with
//!   each change.
//! * An *ended map* is taken apart when nobody is at work in it ([`super::ended`]).
//!
//! Only one agent at a time takes apart what hangs on a head, so that it meets no other there: it says so in its slot, looks whether
//! the head is the map's still, and then says so in the head by an exchange. Who has cleared the map takes the head itself apart only
//! when nobody says that of it. So one that stands still there keeps that head, and those before, and no later ones. An ended map is one
//! agent's as a whole, which says so in the object's entry. If it dies, others wait for its recovery, as they do for who died at work.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Exchange, Kind, Memory, Named, Operation, Result, SlotWord, slot as slots};

use super::eras;
use super::log::{Located, entry_at};
use super::view::{View, corrupt};
use super::words::*;
use super::writer::Writer;
use crate::object::{self, Handle, RECLAIMER, Table};
use crate::string::Made;
use crate::{list, nested, string, value};

/// Pairs that are looked at with each deletion.
const SWEPT: u32 = 2;
/// Parts that are freed with each change.
pub(super) const SLICE: u32 = 2;
/// Parts that who gave the last reference back frees at once.
pub(crate) const FIRST_SLICE: u32 = 64;

impl Writer<'_> {
    /// After an entry went out: its chunk may be free, or an older one.
    pub(super) fn tidy(&self, entry: Address) -> Result<()> {
        let chunk = entry & !(CHUNK_SIZE - 1);
        let number = self.view.load(chunk.wrapping_add(NUMBER));
        // Not believed: the pair must say the same.
        if let (Located::Pair(_), _, (word, _)) = self.path(number)?
            && word as Address == chunk
        {
            self.retire(number)?;
        }
        let cursor = self.view.field(SWEEP);
        let mut number = self.view.load(cursor);
        for _ in 0..SWEPT {
            number = self.sweep(number)?;
        }
        self.memory().store64(cursor, number);
        Ok(())
    }

    /// Looks at a chunk, or at what it would hang on, and answers the number of the next.
    fn sweep(&self, number: u64) -> Result<u64> {
        match self.path(number) {
            Ok((Located::Dead(next), ..)) => self.retire(number).map(|()| next),
            Ok((Located::Pair(_), _, (word, retired))) if word != 0 => {
                if word != DEAD && retired == 0 {
                    self.finish_gone(self.view.chunk(word)?)?;
                }
                self.retire(number).map(|()| number + 1)
            }
            // The end, or a hint that makes no sense.
            _ => Ok(0),
        }
    }

    /// What another agent deleted and did not take out.
    fn finish_gone(&self, chunk: Address) -> Result<()> {
        for entry in (0..PLACES).rev().map(|place| entry_at(chunk, place)) {
            match state(self.view.load(entry.wrapping_add(VALUE))) {
                State::Out => {}
                State::Gone => self.remove(entry)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Retires a chunk if it is done with, and the nodes that are then.
    fn retire(&self, number: u64) -> Result<()> {
        let (located, (path, length), _) = self.path(number)?;
        let mut is_chunk = matches!(located, Located::Pair(_));
        let count = if number < FIRST_CHUNKS + u64::from(SMALL_NODE) { SMALL_NODE } else { NODE };
        for &pair in path.iter().take(length).rev() {
            if !self.retire_pair(pair, if is_chunk { None } else { Some(count) })? {
                break;
            }
            is_chunk = false;
        }
        Ok(())
    }

    /// One pair, of a chunk or of a node of so many pairs; whether nothing hangs on it any more.
    fn retire_pair(&self, pair: Address, pairs: Option<u32>) -> Result<bool> {
        let (memory, at) = (self.memory(), pair.wrapping_add(RETIRED));
        let word = self.view.load(pair);
        if word == 0 || word == DEAD {
            return Ok(word == DEAD);
        }
        self.view.table.check_own(pair)?;
        if self.view.load(at) == 0 {
            if !self.is_done(word, pairs)? {
                return Ok(false);
            }
            let _ = memory.compare_exchange64(at, 0, PENDING);
        }
        if self.view.load(at) == PENDING {
            // After the pair said so: whoever begins in this era finds no way there.
            let era = eras::raise(memory, self.entry);
            let _ = memory.compare_exchange64(at, PENDING, era << 1);
        }
        // Of what another agent freed meanwhile it may say anything: then the pair's word is another.
        let made_at = match pairs {
            None => self.view.chunk(word)?.wrapping_add(CHUNK_MADE),
            Some(count) => self.view.block(word, node_size(count))?.wrapping_add(node_made(count)),
        };
        let made = self.view.load(made_at);
        #[cfg(feature = "controls")]
        let made = if crate::controls::is_on(crate::controls::KEEPS_CHUNKS) {
            // Seeded bug: it is kept for whoever was there before it.
            0
        } else {
            made
        };
        if eras::is_met(self.operation, self.handle, made, self.view.load(at) >> 1, true) {
            return Ok(false);
        }
        // Not exchanged: another agent freed it.
        let _ = self.operation.replace(pair, word, DEAD, None, Block::from_word(word))?;
        Ok(true)
    }

    /// Whether all that a chunk or a node has is done with.
    fn is_done(&self, word: u64, pairs: Option<u32>) -> Result<bool> {
        match pairs {
            None => {
                let chunk = self.view.chunk(word)?;
                let is_out = |at: Address| state(self.view.load(at.wrapping_add(VALUE))) == State::Out;
                Ok((0..PLACES).rev().all(|place| is_out(entry_at(chunk, place))))
            }
            Some(count) => {
                let node = self.view.block(word, node_size(count))?;
                Ok((0..count).rev().all(|index| self.view.load(node.wrapping_add(index * PAIR)) == DEAD))
            }
        }
    }

    /// Takes apart some of the heads that were cleared away.
    #[inline]
    pub(super) fn tidy_cleared(&self) -> Result<()> {
        if self.view.load(self.view.field(PREVIOUS)) == 0 {
            return Ok(());
        }
        take_cleared(self.operation, self.handle, &mut { SLICE })
    }
}

/// Takes apart so many parts of what a map or a list that is there has given up; fewer are left.
#[cold]
pub(crate) fn take_cleared(operation: &Operation, handle: Handle, parts: &mut u32) -> Result<()> {
    let table = Table::of(operation);
    let Some(entry) = table.entry(handle.index) else { return Ok(()) };
    let cell = entry.wrapping_add(object::VALUE);
    let head = table.memory.load64(cell);
    let is_map = table.word(entry).is_live(handle, object::Type::Map);
    let kind = if is_map { object::Type::Map } else { object::Type::List };
    let cell = if is_map {
        cell
    } else if table.word(entry).is_live(handle, kind) {
        list::hanger(table, head as Address)?
    } else {
        return Ok(());
    };
    // What others hang on, and where in it the right to them lies.
    let on = table.memory.load64_ordered(cell);
    let at = (on as Address & !7).wrapping_add(if is_map { HEAD_RECLAIMER } else { list::RECLAIMER });
    let Some(reclaiming) = Reclaiming::begin(operation, Right::of_what_hangs(on as Address, at), || {
        // From here on no head and no root is freed but by this agent.
        table.word(entry).is_live(handle, kind) && table.memory.load64_ordered(cell) == on
    }) else {
        return Ok(());
    };
    let done = if is_map {
        View::new(table, on).and_then(|view| take_previous(operation, handle, Some(entry), view, parts))
    } else {
        list::take_previous(operation, handle, entry, on, parts)
    };
    reclaiming.end();
    done.map(drop)
}

/// The era from which on what was cleared away cannot be found any more.
#[inline(never)]
pub(super) fn draw_era(table: Table, entry: Address, view: View) {
    let at = view.field(PREVIOUS_ERA);
    if view.load(view.field(PREVIOUS)) != 0 && view.load(at) == 0 {
        let era = eras::raise(table.memory, entry);
        let _ = table.memory.compare_exchange64(at, 0, era);
    }
}

/// Takes the heads before this one apart, the last cleared first, as far as nobody meets them; whether that is done. `entry`: of a map that
/// has not ended.
pub(super) fn take_previous(
    operation: &Operation,
    handle: Handle,
    entry: Option<Address>,
    view: View,
    parts: &mut u32,
) -> Result<bool> {
    let cell = view.field(PREVIOUS);
    if let Some(entry) = entry {
        draw_era(view.table, entry, view);
    }
    // At most one round for each head that was cleared away: none is live after its round.
    loop {
        let word = view.load(cell);
        let Some(block) = Block::from_word(word) else { return Ok(true) };
        let previous = View::new(view.table, word)?;
        if operation.is_live(block) != Some(Kind::Map) || previous.head == view.head {
            return corrupt(cell);
        }
        let made = previous.load(previous.field(HEAD_MADE));
        // It was gone in an era before that, if another one was between them.
        let gone = view.load(view.field(PREVIOUS_ERA));
        let is_met = entry.is_some() && eras::is_met(operation, handle, made, gone, false);
        if is_met || is_in_hands(operation, word) || !take_apart(operation, previous, parts)? {
            return Ok(false);
        }
        let next = previous.load(previous.field(PREVIOUS));
        let _ = operation.replace(cell, word, next, None, Some(block))?;
    }
}

/// Frees what hangs on a head that nobody can find; whether all of it is.
pub(super) fn take_apart(operation: &Operation, view: View, parts: &mut u32) -> Result<bool> {
    view.table.check_own(view.head)?;
    while free_part(operation, view, parts)? {
        if *parts == 0 {
            return Ok(false);
        }
        *parts -= 1;
    }
    Ok(true)
}

/// Frees one part, or chunks beside each other, so many more of which are parts; whether there was one.
fn free_part(operation: &Operation, view: View, more: &mut u32) -> Result<bool> {
    let first = (0..FIRST_CHUNKS as u32).map(|number| (CHUNKS + number * PAIR, 0, 0));
    let rest = (0..SEGMENT_COUNT)
        .map(|segment| (SEGMENTS + segment * PAIR, segment.max(1), if segment == 0 { SMALL_NODE } else { NODE }));
    let hangs = |pair: Address| !matches!(view.load(pair), 0 | DEAD);
    for (offset, height, count) in first.chain(rest) {
        let mut pair = view.field(offset);
        if !hangs(pair) {
            continue;
        }
        // Down to a chunk, or to a node on which nothing hangs.
        let (mut left, mut end) = (height, 0);
        while left > 0 {
            let node = view.block(view.load(pair), node_size(count))?;
            let Some(child) = (0..count).map(|index| node.wrapping_add(index * PAIR)).find(|&pair| hangs(pair)) else {
                break;
            };
            (pair, end) = (child, node.wrapping_add(count * PAIR));
            left -= 1;
        }
        loop {
            let word = view.load(pair);
            if left == 0 && is_part(operation, word, CHUNK_SIZE) {
                free_entries(operation, view.chunk(word)?)?;
            }
            let _ = operation.replace(pair, word, DEAD, None, Block::from_word(word))?;
            pair = pair.wrapping_add(PAIR);
            if left > 0 || pair >= end || *more == 0 || !hangs(pair) {
                return Ok(true);
            }
            *more -= 1;
        }
    }
    for cell in (0..6).map(|level| view.field(BUCKET_BLOCKS + level * 8)) {
        if let Some(block) = Block::from_word(view.load(cell)) {
            let _ = operation.replace(cell, block.to_word(), 0, None, Some(block))?;
            return Ok(true);
        }
    }
    for level in 0..DIRECTORY_COUNT {
        let cell = view.field(DIRECTORIES + level * 8);
        let Some(block) = Block::from_word(view.load(cell)) else { continue };
        let at = block.address;
        let pages = if is_part(operation, block.to_word(), 8 << level) { 1 << level } else { 0 };
        // The pages before were freed: pages are made in order, and this word is only raised.
        let done = (view.load(view.field(PAGES_FREED)) as u32).saturating_sub(1 << level);
        for index in done..pages {
            let page_cell = at.wrapping_add(index * 8);
            if let Some(page) = Block::from_word(view.load(page_cell)) {
                let _ = operation.replace(page_cell, page.to_word(), 0, None, Some(page))?;
                operation.memory().store64(view.field(PAGES_FREED), u64::from((1 << level) + index + 1));
                return Ok(true);
            }
        }
        let _ = operation.replace(cell, block.to_word(), 0, None, Some(block))?;
        return Ok(true);
    }
    Ok(false)
}

/// Whether a word names a block of a map that is there, and has so many bytes. What it has is taken apart only then: words that are
/// damaged may name anything, and of any length.
fn is_part(operation: &Operation, word: u64, size: u32) -> bool {
    Block::from_word(word)
        .is_some_and(|block| operation.is_live(block) == Some(Kind::Map) && operation.size_of(block) >= size)
}

/// Frees the blocks of the keys and values of a chunk.
fn free_entries(operation: &Operation, chunk: Address) -> Result<()> {
    for entry in (0..PLACES).map(|place| entry_at(chunk, place)) {
        for at in [entry.wrapping_add(KEY), entry.wrapping_add(VALUE)] {
            free_value(operation, at, value::EMPTY)?;
        }
    }
    Ok(())
}

/// Frees the block of a value that nobody can find, and gives its reference back if it is one.
/// `left` stands in its place then.
pub(crate) fn free_value(operation: &Operation, at: Address, left: u64) -> Result<()> {
    let word = operation.memory().load64(at);
    if !value::is_block(word) || !value::is_reference(word) && is_freed(operation, at, word, left) {
        return Ok(());
    }
    if let Some(block) = string::block_of(Table::of(operation), word) {
        let _ = nested::put(operation, at, word, Made { word: left, block: None }, Some(block))?;
    }
    Ok(())
}

/// Frees the small block of a value that nobody can find; whether it has one.
#[inline]
fn is_freed(operation: &Operation, at: Address, word: u64, left: u64) -> bool {
    value::block_at(word).is_some_and(|(address, generation)| {
        let cell = Exchange { at, expected: word, replacement: left };
        operation.empty(cell, Named { address, generation, kind: Kind::String })
    })
}

/// What one agent at a time takes apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Right {
    /// Where it says who does, or did last.
    at: Address,
    /// What that agent's slot says.
    word: u64,
}

impl Right {
    /// No index of an object has that many bits.
    const HANGS: u64 = 1 << 32;

    /// What hangs on a head of a map or a root of a list, where the right to it lies at `at`.
    fn of_what_hangs(on: Address, at: Address) -> Self {
        Self { at, word: u64::from(on) | Self::HANGS }
    }

    /// All of what has ended.
    pub(super) fn of_entry(entry: Address, index: u32) -> Self {
        Self { at: entry.wrapping_add(RECLAIMER), word: u64::from(index) + 1 }
    }

    /// Whether the agent of the slot at `at` says that it has this right, and may.
    fn is_of(self, memory: Memory, at: Address) -> bool {
        memory.load64_ordered(at.wrapping_add(slot::RECLAIMING)) == self.word
            && SlotWord(memory.load64_ordered(at.wrapping_add(slot::WORD))).may_be_inside()
    }
}

/// Whether another agent takes apart what hangs on a head of a map or a root of a list, or is about to, or [`is_edited`].
#[inline(never)]
pub(crate) fn is_in_hands(operation: &Operation, on: u64) -> bool {
    let (memory, own) = (operation.memory(), operation.agent().slot());
    let right = Right::of_what_hangs(on as Address, 0);
    let found =
        slots::each_used(memory, operation.control(), |_, at| (at != own && right.is_of(memory, at)).then_some(()));
    found.is_some() || is_edited(operation, on)
}

/// Whether the agent that has made this root of a list is not done with the one before: recovery works in others' objects, too, and is not
/// seen at work then.
#[inline(never)]
pub(crate) fn is_edited(operation: &Operation, root: u64) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::EDITOR_UNSEEN) {
        // Seeded bug: how old it counts may change yet.
        return false;
    }
    let memory = operation.memory();
    let found = slots::each_used(memory, operation.control(), |_, at| {
        (memory.load64_ordered(at.wrapping_add(slot::EDITING)) == root).then_some(())
    });
    found.is_some()
}

/// The right to take something apart, in this agent's hands.
pub(super) struct Reclaiming<'a> {
    operation: &'a Operation,
}

impl<'a> Reclaiming<'a> {
    /// `None`: another agent has it, this one another, or `is_there` says that what it is a right to is not there.
    pub(super) fn begin(operation: &'a Operation, right: Right, is_there: impl Fn() -> bool) -> Option<Self> {
        let memory = operation.memory();
        let agent = operation.agent();
        let own = agent.slot().wrapping_add(slot::RECLAIMING);
        if memory.own64(own) != 0 {
            return None;
        }
        memory.swap64(own, right.word);
        let reclaiming = Self { operation };
        // The right is not looked at before: it may lie in what another agent has freed. And after: who had it last may have ended
        // what it is a right to.
        if is_there() && Self::is_first(memory, operation, right) && is_there() {
            return Some(reclaiming);
        }
        reclaiming.end();
        None
    }

    fn is_first(memory: Memory, operation: &Operation, right: Right) -> bool {
        let agent = operation.agent();
        if Table::of(operation).check_own(right.at & !7).is_err() {
            // Nobody takes apart what hangs on what is damaged.
            return false;
        }
        let seen = memory.load32_ordered(right.at);
        let other =
            slots::find(memory, operation.control(), seen & 0xFFF).filter(|&at| seen != 0 && at != agent.slot());
        if other.is_some_and(|at| right.is_of(memory, at)) {
            return false;
        }
        // Never 0, which is nobody's.
        let turn = ((seen >> 12).wrapping_add(1) & 0xF_FFFF).max(1);
        let claim = turn << 12 | agent.index() & 0xFFF;
        memory.compare_exchange32(right.at, seen, claim).is_ok()
    }

    pub(super) fn end(self) {
        self.operation.memory().store64(self.operation.agent().slot().wrapping_add(slot::RECLAIMING), 0);
    }
}
