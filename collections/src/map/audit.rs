//! What the audit asks of a map: every block of it once, links that stay inside, entries that are found by their keys, and
//! as many as are counted.

use coheap_alloc::{Address, Block, Error, Kind, Result};

use super::key;
use super::log::{self, Located, entry_at};
use super::transaction::value_of;
use super::view::{View, corrupt};
use super::words::*;
use crate::object::Table;
use crate::references::{self, see};
use crate::{cell, nested, rule, string, value};

/// Calls `seen` with each block of the map of a value word. Of one that is live (`whole`) all is checked.
///
/// # Errors
/// [`Error::Corrupt`], and what `seen` answers.
pub(crate) fn visit(
    table: Table,
    word: u64,
    whole: bool,
    seen: &mut impl FnMut(Block, Kind) -> Result<()>,
) -> Result<()> {
    let (mut word, mut whole) = (word, whole);
    // Ends: no block is seen twice.
    while let Some(block) = Block::from_word(word) {
        see(block, Kind::Map, seen)?;
        let view = View::new(table, word)?;
        let values = visit_log(&view, whole, seen)?;
        visit_buckets(&view, seen)?;
        if whole {
            walk_list(&view)?;
        }
        if whole && view.load(view.field(COUNT)) as u32 != values {
            return Err(Error::corrupt(rule::MAP_COUNT, view.head));
        }
        word = view.load(view.field(PREVIOUS));
        whole = false;
    }
    Ok(())
}

/// The nodes and chunks; how many entries have a value.
fn visit_log(view: &View, whole: bool, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<u32> {
    let mut values = 0;
    for number in 0..FIRST_CHUNKS as u32 {
        values += visit_pair(view, view.field(CHUNKS + number * PAIR), seen)?
            .map_or(Ok(0), |chunk| visit_chunk(view, chunk, whole, seen))?;
    }
    for segment in 0..SEGMENT_COUNT {
        let count = if segment == 0 { SMALL_NODE } else { NODE };
        let height = segment.max(1) as usize;
        // For each level the pairs that are left: where the next one is, and how many.
        let mut left = [(0, 0); SEGMENT_COUNT as usize + 1];
        left[0] = (view.field(SEGMENTS + segment * PAIR), 1);
        let mut level = 0;
        loop {
            let (at, pairs) = left[level];
            if pairs == 0 {
                if level == 0 {
                    break;
                }
                level -= 1;
                continue;
            }
            left[level] = (at.wrapping_add(PAIR), pairs - 1);
            let Some(word) = visit_pair(view, at, seen)? else { continue };
            if level == height {
                values += visit_chunk(view, word, whole, seen)?;
            } else {
                level += 1;
                left[level] = (view.block(word, node_size(count))?, count);
            }
        }
    }
    Ok(values)
}

/// The word of what hangs on a pair.
fn visit_pair(view: &View, pair: Address, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<Option<u64>> {
    let word = view.load(pair);
    match Block::from_word(word) {
        Some(block) if word != DEAD => see(block, Kind::Map, seen).map(|()| Some(word)),
        _ => Ok(None),
    }
}

fn visit_chunk(view: &View, word: u64, whole: bool, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<u32> {
    let chunk = view.chunk(word)?;
    let mut values = 0;
    for entry in (0..PLACES).map(|place| entry_at(chunk, place)) {
        let (key, found) = (view.load(entry.wrapping_add(KEY)), view.load(entry.wrapping_add(VALUE)));
        visit_value(view.table, entry.wrapping_add(KEY), seen)?;
        visit_value(view.table, entry.wrapping_add(VALUE), seen)?;
        if whole && matches!(state(found), State::Value | State::Joined) {
            values += 1;
            let is_value = match state(found) {
                State::Joined => value_of(view.table, entry.wrapping_add(VALUE), found)?.is_some(),
                _ => value::is_block(found) || cell::is_known(view.table, found),
            };
            if !is_value || !key::is_key(view.table, key) || !is_listed(view, entry)? {
                return corrupt(entry);
            }
        }
    }
    Ok(values)
}

/// What hangs on a word that holds a value, if it does: its block, and its reference, which counts whether anybody finds it or not.
#[inline(never)]
pub(crate) fn visit_value(table: Table, at: Address, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    let word = table.memory.load64(at);
    if !value::is_block(word) {
        return Ok(());
    }
    let Some(stored) = string::find(table, word).filter(|stored| value::tag(word) == Some(stored.form.tag())) else {
        return corrupt(at);
    };
    see(stored.block(), Kind::String, seen)?;
    let counts = || nested::handle_at(table, at, &stored).is_some_and(|handle| references::tally(table, handle));
    if value::is_reference(word) && !counts() { corrupt(at) } else { Ok(()) }
}

/// Whether a search for the key of an entry that has a value ends there.
fn is_listed(view: &View, entry: Address) -> Result<bool> {
    let Some(order) = key::order_stored(view.table, entry.wrapping_add(KEY))? else { return Ok(false) };
    let mut link = Link(view.load(view.start(order)?));
    let mut steps = 0;
    while link.next() != 0 && link.order() <= order {
        let next = link.next();
        steps += 1;
        view.bound(steps, next)?;
        view.check_next(link)?;
        if !link.leads_to_bucket() && link.order() == order {
            if next == entry {
                return Ok(true);
            }
            if matches!(state(view.load(next.wrapping_add(VALUE))), State::Value | State::Joined)
                && is_key_of(view, next, entry)
            {
                return Ok(false);
            }
        }
        link = after(view, link);
    }
    Ok(false)
}

fn after(view: &View, link: Link) -> Link {
    let next = link.next();
    Link(view.load(if link.leads_to_bucket() { next } else { next.wrapping_add(LINK) }))
}

/// Whether two entries have the same key.
fn is_key_of(view: &View, one: Address, other: Address) -> bool {
    let words = [one, other].map(|entry| view.load(entry.wrapping_add(KEY)));
    if words[0] == words[1] {
        return true;
    }
    let [Some(one), Some(other)] = words.map(|word| string::find(view.table, word)) else { return false };
    let memory = view.table.memory;
    let byte = |stored: &string::Stored, index: u32| {
        memory.load64(stored.at().wrapping_add(index & !7)) >> (index % 8 * 8) & 0xFF
    };
    one.form == other.form
        && one.length == other.length
        && (0..one.length).all(|index| byte(&one, index) == byte(&other, index))
}

/// Walks the whole list: the orders ascend, and each step leads to a bucket or to a place of a chunk that is not out.
fn walk_list(view: &View) -> Result<()> {
    let mut link = view.bucket_link(view.field(BUCKETS))?;
    let (mut steps, mut order) = (0, 0);
    while link.next() != 0 {
        let next = link.next();
        steps += 1;
        view.bound(steps, next)?;
        view.check_next(link)?;
        let (is_bucket, ascends) = (link.leads_to_bucket(), link.order() > order);
        let is_there = if is_bucket { is_bucket_at(view, link)? } else { is_entry_at(view, next)? };
        if !is_there || !(ascends || !is_bucket && link.order() == order) {
            return corrupt(next);
        }
        order = link.order();
        link = after(view, link);
    }
    Ok(())
}

fn is_bucket_at(view: &View, link: Link) -> Result<bool> {
    let Some(number) = bucket_of_order(link.order()) else { return Ok(false) };
    Ok(number < MOST_BUCKETS && view.bucket(number)? == Some(link.next()))
}

fn is_entry_at(view: &View, entry: Address) -> Result<bool> {
    let chunk = entry & !(CHUNK_SIZE - 1);
    if !is_offset(entry - chunk) {
        return Ok(false);
    }
    let number = view.load(chunk.wrapping_add(NUMBER));
    let hangs = log::can_be(number)
        && matches!(view.locate(number)?, Located::Pair(pair) if view.load(pair) as Address == chunk);
    Ok(hangs && !matches!(state(view.load(entry.wrapping_add(VALUE))), State::Empty | State::Out))
}

fn visit_buckets(view: &View, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    for cell in (0..6).map(|level| view.field(BUCKET_BLOCKS + level * 8)) {
        if let Some(block) = Block::from_word(view.load(cell)) {
            see(block, Kind::Map, seen)?;
        }
    }
    for level in 0..DIRECTORY_COUNT {
        let Some(block) = Block::from_word(view.load(view.field(DIRECTORIES + level * 8))) else { continue };
        see(block, Kind::Map, seen)?;
        let at = view.block(block.to_word(), 8 << level)?;
        for cell in (0..1 << level).map(|index| at.wrapping_add(index * 8)) {
            if let Some(page) = Block::from_word(view.load(cell)) {
                see(page, Kind::Map, seen)?;
            }
        }
    }
    Ok(())
}
