//! What the audit asks this crate: which blocks are referenced, and whether the table and the directory are well-formed.
//!
//! The rules, by the numbers in [`crate::rule`]:
//! * a directory word of the object table is 0 or a page of objects, and none follows a 0;
//! * an entry's word has a known state, and one that is being made is an agent's that was stopped in it; a live or dying one has a known type, and a cell holds a value;
//! * a value that is in a block names a live one of its own; an atom that a cell holds is in the table of atoms, whose
//!   texts are live blocks;
//! * a live or dying region of bytes refers to a live block that is large enough, and to no other's;
//! * live or dying fields have no block, or one of well-formed lines that nobody else refers to;
//! * a live or dying map refers to each of its blocks once, and in a live one each entry is found by its key, and counted;
//! * the places of a live pipe have its writes one after the other, and its loans their blocks, each referred to once;
//! * a live or dying list refers to each of its blocks once, and has a value at each place below its length;
//! * a root is 0 or a live block of well-formed entries; a live object that an entry names is of the entry's type and
//!   of this bucket, and each live named object is listed;
//! * the count of a live object is the number of references to it: of agents, of structures, of the directory, of nobody.

use coheap_alloc::audit::References;
use coheap_alloc::layout::{PAGE, control};
use coheap_alloc::{Address, Block, Error, Kind, Memory, Result, slot as slots};
use coheap_alloc::{PageKind, PageWord};

use crate::count::CountWord;
use crate::holdings::{self, Holder};
use crate::name::{self, Bucket};
use crate::object::{COUNT, EntryWord, FIRST, Handle, INFO, Info, PARKED, PER_PAGE, State, TALLY, Table, Type, VALUE};
use crate::{atom, cell, fields, list, map, pipe, rule, string, value};

/// The references of the objects and of the name directory.
#[derive(Clone, Copy, Debug)]
pub struct Objects;

impl References for Objects {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, memory: Memory, control: Address, seen: &mut F) -> Result<()> {
        let table = Table { memory, control };
        // First the buckets: whether an object is listed is asked of blocks that the audit has seen to be live.
        for bucket in 0..=u8::MAX {
            visit_bucket(table, bucket, seen)?;
        }
        atom::visit(table, seen)?;
        let mut ended = false;
        for number in 0..control::OBJECT_CHUNK_COUNT {
            if memory.load32(table.directory(number)) == 0 {
                ended = true;
                continue;
            }
            if ended || !is_page(table, number) {
                return corrupt(rule::OBJECT_PAGE, table.directory(number));
            }
            for entry in (FIRST..PER_PAGE).filter_map(|place| table.entry(number * PER_PAGE + place)) {
                begin_tally(table, entry);
            }
        }
        for number in (0..control::OBJECT_CHUNK_COUNT).take_while(|&number| table.page(number).is_some()) {
            for place in FIRST..PER_PAGE {
                visit_object(table, number * PER_PAGE + place, seen)?;
            }
        }
        let broken = slots::each(memory, control, |index, slot| {
            let holder = Holder { slot, index };
            // Of an agent that is not recovered yet.
            let records = map::records_of(memory, slot).map_or(Ok(()), |(block, kind)| seen(block, kind));
            let block = |block| seen(block, Kind::Holdings);
            let held = holdings::each(memory, holder, block, |handle| {
                // One to an object that was taken back counts for nothing.
                let _ = tally(table, handle);
                Ok(())
            });
            records.and(held).err()
        });
        match broken {
            Some(error) => Err(error),
            None => check_counts(table),
        }
    }
}

/// As `seen`: one copy of it for maps and lists.
#[inline(never)]
pub(crate) fn see(block: Block, kind: Kind, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    seen(block, kind)
}

/// Counts a reference, unless the object is gone; whether it is there.
pub(crate) fn tally(table: Table, handle: Handle) -> bool {
    let entry = table.entry(handle.index).filter(|&entry| table.check_any(entry, handle).is_ok());
    if let Some(entry) = entry {
        let at = entry.wrapping_add(TALLY);
        table.memory.store32(at, table.memory.load32(at).wrapping_add(1));
    }
    entry.is_some()
}

/// Begins the count of an object with the references of the directory and of nobody; those of agents and of structures
/// follow.
fn begin_tally(table: Table, entry: Address) {
    let load = |offset: Address| table.memory.load64(entry.wrapping_add(offset));
    let parked = CountWord(load(PARKED)).count();
    let named = u32::from(Info(load(INFO)).bucket().is_some());
    table.memory.store32(entry.wrapping_add(TALLY), parked.wrapping_add(named));
}

fn check_counts(table: Table) -> Result<()> {
    for number in (0..control::OBJECT_CHUNK_COUNT).take_while(|&number| table.page(number).is_some()) {
        for entry in (FIRST..PER_PAGE).filter_map(|place| table.entry(number * PER_PAGE + place)) {
            let word = table.word(entry);
            let count = table.memory.load64(entry.wrapping_add(COUNT));
            let right = CountWord::new(table.memory.load32(entry.wrapping_add(TALLY)), word.generation());
            // Without the mark of the last change. An object without a reference would be dying.
            let wrong = count as u32 != right.0 as u32 || right.count() == 0;
            if word.is(State::Live) && wrong {
                return corrupt(rule::COUNT, entry);
            }
        }
    }
    Ok(())
}

fn corrupt<R>(rule: u32, address: Address) -> Result<R> {
    Err(Error::corrupt(rule, address))
}

fn is_page(table: Table, number: u32) -> bool {
    table.page(number).is_some_and(|at| {
        let word = table.control.wrapping_add(control::TABLE).wrapping_add(at / PAGE * 16);
        PageWord(table.memory.load64(word)).kind() == PageKind::Objects
    })
}

fn bucket_at(table: Table, root: Address) -> Result<Option<(Block, Bucket)>> {
    let Some(block) = Block::from_word(table.memory.load64(root)) else { return Ok(None) };
    let end = u64::from(table.memory.pages_now()) * u64::from(PAGE);
    let size = end.saturating_sub(u64::from(block.address)).min(u64::from(u32::MAX)) as u32;
    Ok(Some((block, Bucket::at(table.memory, block.address, size)?)))
}

fn visit_bucket(table: Table, number: u8, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    let root = name::root(table.control, number);
    let Some((block, bucket)) = bucket_at(table, root)? else { return Ok(()) };
    seen(block, Kind::Names)?;
    bucket.each(|listed| {
        let Some(entry) = table.entry(listed.handle.index) else { return corrupt(rule::BUCKET, root) };
        let word = table.word(entry);
        let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
        let live = word.is_live_object(listed.handle);
        if live && info.remover().is_none() && (u32::from(word.kind()) != listed.kind || info.bucket() != Some(number))
        {
            return corrupt(rule::NOT_LISTED, entry);
        }
        Ok(())
    })
}

fn visit_object(table: Table, index: u32, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    let Some(entry) = table.entry(index) else { return Ok(()) };
    let word = table.word(entry);
    match word.state() {
        None => corrupt(rule::ENTRY_WORD, entry),
        Some(State::Live | State::Dying) => visit_taken(table, index, entry, word, seen),
        // Being made by an agent that was stopped, and is not recovered yet; else nobody would ever free it.
        Some(State::Raw) if !is_online(table, word.maker()) => corrupt(rule::ENTRY_WORD, entry),
        Some(State::Virgin | State::Free | State::Raw | State::Retired) => Ok(()),
    }
}

fn is_online(table: Table, slot: u32) -> bool {
    slots::find(table.memory, table.control, slot).is_some_and(|at| slots::word(table.memory, at).may_be_inside())
}

fn visit_taken(
    table: Table,
    index: u32,
    entry: Address,
    word: EntryWord,
    seen: &mut impl FnMut(Block, Kind) -> Result<()>,
) -> Result<()> {
    let found = table.memory.load64(entry.wrapping_add(VALUE));
    let info = Info(table.memory.load64(entry.wrapping_add(INFO)));
    match Type::from_tag(u32::from(word.kind())) {
        None => return corrupt(rule::ENTRY_WORD, entry),
        Some(Type::Cell) => {
            if value::is_block(found) {
                let Some(stored) = string::find(table, found) else { return corrupt(rule::VALUE_BLOCK, entry) };
                // Cells hold no references.
                if value::tag(found) != Some(stored.form.tag()) || value::is_reference(found) {
                    return corrupt(rule::VALUE_BLOCK, entry);
                }
                seen(stored.block(), Kind::String)?;
            } else if !cell::is_known(table, found) {
                return corrupt(rule::NOT_A_VALUE, entry);
            }
        }
        Some(Type::Bytes) => match Block::from_word(found) {
            Some(block) => {
                let end = u64::from(block.address) + u64::from(info.length());
                if info.length() == 0 || !table.memory.reaches(end) {
                    return corrupt(rule::BYTES_BLOCK, entry);
                }
                seen(block, Kind::Bytes)?;
            }
            None if info.length() == 0 => {}
            None => return corrupt(rule::BYTES_BLOCK, entry),
        },
        Some(Type::Map) => map::visit(table, found, word.is(State::Live), seen)?,
        Some(Type::Pipe) => pipe::visit(table, entry, word.is(State::Live), seen)?,
        Some(Type::List) => list::visit(table, found, word.is(State::Live), seen)?,
        Some(Type::Fields) => match fields::audit(table.memory, found) {
            Some(Some(block)) => seen(block, Kind::Fields)?,
            Some(None) => {}
            None => return corrupt(rule::FIELDS_BLOCK, entry),
        },
    }
    match info.bucket() {
        Some(bucket) if word.is(State::Live) => {
            is_listed(table, bucket, Handle { index, generation: word.generation() }, entry)
        }
        _ => Ok(()),
    }
}

fn is_listed(table: Table, bucket: u8, handle: Handle, entry: Address) -> Result<()> {
    let mut listed = 0u32;
    if let Some((_, bucket)) = bucket_at(table, name::root(table.control, bucket))? {
        bucket.each(|found| {
            listed += u32::from(found.handle == handle);
            Ok(())
        })?;
    }
    if listed == 1 { Ok(()) } else { corrupt(rule::NOT_LISTED, entry) }
}
