//! Values of every kind in cells: strings, bytes, big integers, constants.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use coheap::cell::{self, Taken};
use coheap::name::{self, Shape};
use coheap::string::{self, Form, Given, Source};
use coheap::value::{self, Tag};
use coheap::{Handle, Table, Type, atom, bytes, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Kind, Result};
use common::{Random, Watchdog, agent, audit, heap, run, threads};

/// A value, as a test knows it.
#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Constant(u64),
    Latin1(Vec<u8>),
    Utf16(Vec<u8>),
    Bytes(Vec<u8>),
    Integer(bool, Vec<u8>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::Constant(a), Self::Constant(b)) => a == b,
            (Self::Latin1(a), Self::Latin1(b)) | (Self::Utf16(a), Self::Utf16(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Integer(a, b), Self::Integer(c, d)) => (a, b) == (c, d),
            _ => false,
        }
    }
}

impl Value {
    fn given(&self, table: Table) -> Result<Given<'_>> {
        match self {
            Self::Number(number) => Ok(Given::number(*number)),
            Self::Constant(word) => Ok(Given::Word(*word)),
            Self::Latin1(units) => Ok(Given::text(units)),
            Self::Utf16(units) => Given::new(table, Form::Utf16, Source::Slice(units)),
            Self::Bytes(bytes) => Ok(Given::bytes(bytes)),
            Self::Integer(negative, words) => {
                let form = if *negative { Form::Negative } else { Form::Natural };
                Given::new(table, form, Source::Slice(words))
            }
        }
    }
}

fn set(agent: Agent, cell: Handle, value: &Value) -> Result<()> {
    agent.operation(|o| cell::set_value(o, cell, value.given(Table::of(o))?).map(|_| ()))
}

fn get(agent: Agent, cell: Handle) -> Value {
    agent.operation(|o| read(agent, Table::of(o), cell)).expect("live")
}

/// Reads a value, long contents in pieces.
fn read(agent: Agent, table: Table, cell: Handle) -> Result<Value> {
    const ROOM: u32 = 1000;
    'again: loop {
        let taken = cell::take(table, cell, agent.transfer(), ROOM)?;
        let Some((form, length)) = taken.block else { return Ok(plain(table, taken)) };
        let mut contents = vec![0; length as usize];
        if length <= ROOM {
            agent.memory().copy_out(agent.transfer(), &mut contents);
            return Ok(of(form, contents));
        }
        for (number, part) in (0..).zip(contents.chunks_mut(body::TRANSFER_LENGTH as usize)) {
            let seen = (taken.word, taken.generation);
            let offset = number * body::TRANSFER_LENGTH;
            if !cell::piece(table, cell, seen, offset, agent.transfer(), part.len() as u32)? {
                continue 'again;
            }
            agent.memory().copy_out(agent.transfer(), part);
        }
        return Ok(of(form, contents));
    }
}

fn plain(table: Table, taken: Taken) -> Value {
    match value::tag(taken.word) {
        None => Value::Number(value::to_number(taken.word).expect("a number")),
        Some(Tag::Short) => {
            let (units, length) = value::to_short(taken.word);
            Value::Latin1(units[..length].to_vec())
        }
        Some(Tag::Atom) => {
            let mut text = [0; atom::LONGEST];
            let length = atom::text(table, value::payload(taken.word) as u32, &mut text).expect("an atom");
            Value::Latin1(text[..length].to_vec())
        }
        _ => Value::Constant(taken.word),
    }
}

fn of(form: Form, contents: Vec<u8>) -> Value {
    match form {
        Form::Ascii | Form::Latin1 => {
            assert_eq!(form == Form::Ascii, contents.is_ascii());
            Value::Latin1(contents)
        }
        Form::Utf16 => Value::Utf16(contents),
        Form::Bytes => Value::Bytes(contents),
        Form::Natural => Value::Integer(false, contents),
        Form::Negative => Value::Integer(true, contents),
        Form::Reference => panic!("cells hold no references"),
    }
}

/// Units in the form that JavaScript has them, ill-formed ones too.
fn utf16(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

#[test]
fn value_of_every_kind_comes_out_as_it_went_in() {
    let agent = agent(heap(512));
    let cell = run(agent, |o| cell::create(o, 0.0));
    let mut values: Vec<Value> = [value::UNDEFINED, value::NULL, value::FALSE, value::TRUE].map(Value::Constant).into();
    values.extend([0.0, -0.0, 1.5, f64::NAN, f64::NEG_INFINITY, 5e-324].map(Value::Number));
    // Around the border of SHORT, the sizes of classes, of slabs, of granules and of runs.
    for length in [0, 1, 4, 5, 6, 7, 8, 9, 63, 64, 65, 1024, 8183, 8184, 8185, 61_432, 61_433, 300_000] {
        values.push(Value::Latin1((0..length).map(|at| b'a' + (at % 26) as u8).collect()));
        values.push(Value::Latin1((0..length).map(|at| (at % 256) as u8).collect()));
        values.push(Value::Latin1(vec![0; length]));
        values.push(Value::Bytes((0..length).map(|at| (at * 7 % 256) as u8).collect()));
        values.push(Value::Integer(length % 2 == 1, [vec![9; length / 8 * 8], 1u64.to_le_bytes().to_vec()].concat()));
    }
    values.push(Value::Integer(false, Vec::new()));
    values.push(Value::Latin1(b"content-type".to_vec()));
    // A high surrogate alone, a low one alone, in the wrong order, at both ends, a pair, a byte order mark.
    for units in [[0xD800, 0x61], [0xDC00, 0x61], [0xDC00, 0xD800], [0xD83D, 0xDE00], [0xFEFF, 0xFFFE], [0x100, 0]] {
        for length in [1usize, 2, 3, 100, 40_000] {
            let text: Vec<u16> = units.iter().copied().cycle().take(length).collect();
            values.push(Value::Utf16(utf16(&text)));
        }
    }
    let mut cases = 0;
    for value in &values {
        set(agent, cell, value).expect("room");
        assert_eq!(&get(agent, cell), value);
        // And as the first value of a cell, with a name and without.
        for name in [None, Some(&b"n"[..])] {
            let made = run(agent, |o| {
                let given = value.given(Table::of(o))?;
                match name {
                    None => cell::create_holding(o, given),
                    Some(name) => name::open(o, name, Shape::Holding(given)),
                }
            });
            assert_eq!(&get(agent, made), value);
            if let Some(name) = name {
                let _ = run(agent, |o| name::remove(o, name));
            }
            let _ = run(agent, |o| release(o, made, Type::Cell));
        }
        cases += 3;
    }
    println!("cases value_of_every_kind_comes_out_as_it_went_in {cases}");
    let _ = run(agent, |o| cell::set(o, cell, 1.0));
    assert_eq!(audit(agent).live_blocks, 0, "every block that was replaced is free");
}

#[test]
fn nan_of_twenty_thousand_payloads_is_one_number_and_forges_nothing() {
    let agent = agent(heap(64));
    let cell = run(agent, |o| cell::create(o, 0.0));
    let mut cases = 0;
    for sign in [0, 1 << 63] {
        for payload in 0..10_000u64 {
            // Among them every word that a string, an atom or a constant would have.
            let mixed = if payload < 5000 { payload << 40 } else { payload.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
            let bits = sign | 0x7FF0 << 48 | mixed & 0xF_FFFF_FFFF_FFFF | 1;
            let number = f64::from_bits(bits);
            assert!(number.is_nan());
            let _ = run(agent, |o| cell::set(o, cell, number));
            let taken = run(agent, |o| cell::take(Table::of(o), cell, agent.transfer(), 8));
            assert_eq!((taken.word, taken.block), (value::NAN, None), "{bits:#x}");
            let (sum, _) = run(agent, |o| cell::add(o, cell, number));
            assert_eq!(sum.to_bits() & 0x7FFF << 48, 0x7FF8 << 48);
            let given =
                run(agent, |o| cell::compare_and_set_value(o, cell, Given::number(number), Given::number(number)));
            assert!(given.0);
            cases += 1;
        }
    }
    println!("cases nan_of_twenty_thousand_payloads_is_one_number_and_forges_nothing {cases}");
    audit(agent);
}

#[test]
fn string_has_one_form_whatever_form_it_came_in() {
    let agent = agent(heap(256));
    let cell = run(agent, |o| cell::create(o, 0.0));
    for length in [0usize, 1, 5, 6, 64, 255, 256, 257, 1000] {
        for unit in [b'a', 0xE9] {
            let narrow = vec![unit; length];
            let wide: Vec<u8> = narrow.iter().flat_map(|&unit| [unit, 0]).collect();
            for (form, units) in [(Form::Utf16, &wide), (Form::Latin1, &narrow)] {
                let _ = run(agent, |o| cell::set_value(o, cell, Given::new(Table::of(o), form, Source::Slice(units))?));
                assert_eq!(get(agent, cell), Value::Latin1(narrow.clone()), "{length}");
                for (form, units) in [(Form::Utf16, &wide), (Form::Latin1, &narrow)] {
                    let (done, _) = run(agent, |o| {
                        let expected = Given::new(Table::of(o), form, Source::Slice(units))?;
                        cell::compare_and_set_value(o, cell, expected, Given::text(&narrow))
                    });
                    assert!(done, "{length}");
                }
            }
        }
    }
    let half = agent.operation(|o| Given::new(Table::of(o), Form::Utf16, Source::Slice(&[1, 2, 3])).map(|_| ()));
    assert!(matches!(half, Err(Error::OutOfRange { .. })));
    // 0 has no sign, and leading zeros are no digits.
    let _ =
        run(agent, |o| cell::set_value(o, cell, Given::new(Table::of(o), Form::Negative, Source::Slice(&[0; 16]))?));
    assert_eq!(get(agent, cell), Value::Integer(false, Vec::new()));
    audit(agent);
}

fn some(random: &mut Random) -> Value {
    let lengths = [0, 1, 5, 6, 12, 64, 200, 1000, 9000, 70_000];
    let different = if random.below(50) == 0 { 10 } else { 7 };
    let length = lengths[random.below(different) as usize];
    // Few different ones, so that comparisons meet equal values.
    let letter = random.below(3) as u8;
    match random.below(8) {
        0 => Value::Number([0.0, -0.0, 7.0, f64::NAN][random.below(4) as usize]),
        1 => Value::Constant(value::UNDEFINED + random.below(4)),
        2 => Value::Latin1(vec![b'a' + letter; length]),
        3 => Value::Latin1(vec![0xE0 + letter; length]),
        4 => Value::Utf16(utf16(&vec![0xD800 + u16::from(letter); length.max(1)])),
        5 => Value::Bytes(vec![letter; length]),
        6 => Value::Integer(letter == 0, vec![letter + 1; length / 8 * 8 + 8]),
        _ => Value::Latin1([&b"content-type"[..], b"x-request-id", b"host"][letter as usize].to_vec()),
    }
}

#[test]
fn values_under_random_operations_match_plain_ones() {
    let _watchdog = Watchdog::new("values_under_random_operations_match_plain_ones");
    let mut random = Random::new("values_under_random_operations_match_plain_ones");
    let agent = agent(heap(2048));
    let mut model: Vec<(Handle, Value)> = Vec::new();
    for _ in 0..100_000 {
        let (value, other) = (some(&mut random), some(&mut random));
        if model.is_empty() || (model.len() < 100 && random.below(20) == 0) {
            let handle = run(agent, |o| cell::create_holding(o, value.given(Table::of(o))?));
            model.push((handle, value));
            continue;
        }
        let place = random.below(model.len() as u64) as usize;
        let (handle, now) = model[place].clone();
        match random.below(8) {
            0 | 1 => {
                set(agent, handle, &value).expect("room");
                model[place].1 = value;
            }
            2 | 3 => {
                let expected = if random.below(2) == 0 { now.clone() } else { other };
                let (done, _) = run(agent, |o| {
                    let table = Table::of(o);
                    cell::compare_and_set_value(o, handle, expected.given(table)?, value.given(table)?)
                });
                assert_eq!(done, expected == now, "{expected:?} {now:?}");
                if done {
                    model[place].1 = value;
                }
            }
            4 => {
                let sum = agent.operation(|o| cell::add(o, handle, 1.0));
                match (&now, sum) {
                    (Value::Number(number), Ok((sum, _))) => {
                        assert_eq!(Value::Number(sum), Value::Number(number + 1.0));
                        model[place].1 = Value::Number(sum);
                    }
                    (Value::Number(_), other) => panic!("{other:?}"),
                    (_, sum) => assert!(matches!(sum, Err(Error::NotANumber { .. })), "{sum:?}"),
                }
            }
            5 => {
                let same = run(agent, |o| cell::watch_value(Table::of(o), handle, &other.given(Table::of(o))?));
                assert_eq!(same.is_some(), other == now);
            }
            6 if random.below(8) == 0 => {
                let _ = run(agent, |o| release(o, handle, Type::Cell));
                model.swap_remove(place);
            }
            _ => assert_eq!(get(agent, handle), now),
        }
    }
    for (handle, value) in &model {
        assert_eq!(&get(agent, *handle), value);
        let _ = run(agent, |o| release(o, *handle, Type::Cell));
    }
    assert_eq!(audit(agent).live_blocks, 0);
}

#[test]
fn value_without_memory_for_it_leaves_the_cell_as_it_was() {
    let agent = agent(heap(64));
    let cell = run(agent, |o| cell::create_holding(o, Given::text(b"as it was")));
    run(agent, |o| {
        for size in [1 << 20, 1 << 16, 4096, 64] {
            while o.allocate(size, 16, Kind::Bytes).is_ok() {}
        }
        let text = vec![b'n'; 300_000];
        let given = Given::text(&text);
        assert!(matches!(cell::set_value(o, cell, given), Err(Error::OutOfMemory { .. })));
        let compared = cell::compare_and_set_value(o, cell, Given::text(b"as it was"), given);
        assert!(matches!(compared, Err(Error::OutOfMemory { .. })));
        assert!(matches!(cell::create_holding(o, given), Err(Error::OutOfMemory { .. })));
        assert_eq!(atom::intern(o, b"no room for the table"), Ok(None));
        // What needs no block works.
        cell::set_value(o, cell, Given::text(b"five!")).map(|_| ())
    });
    assert_eq!(get(agent, cell), Value::Latin1(b"five!".to_vec()));
    assert_eq!(audit(agent).live_blocks, 0);
}

#[test]
fn cell_that_holds_a_block_is_released_with_it() {
    let agent = agent(heap(256));
    let text = vec![b'x'; 5000];
    for round in 0..500 {
        let cell = run(agent, |o| cell::create_holding(o, Given::text(&text)));
        if round % 2 == 0 {
            set(agent, cell, &Value::Bytes(vec![1; 100_000])).expect("room");
        }
        let _ = run(agent, |o| release(o, cell, Type::Cell));
        let taken = agent.operation(|o| cell::take(Table::of(o), cell, agent.transfer(), 100));
        assert!(matches!(taken, Err(Error::StaleHandle { .. })));
    }
    assert_eq!(audit(agent).live_blocks, 0);
}

#[test]
fn value_staged_in_a_region_goes_in_and_out_whole() {
    let agent = agent(heap(512));
    let cell = run(agent, |o| cell::create(o, 0.0));
    let text: Vec<u8> = (0..200_000).map(|at| b'a' + (at % 23) as u8).collect();
    let staged = run(agent, |o| bytes::create(o, text.len() as u32));
    run(agent, |o| bytes::write(o, staged, 0, &text));
    let source = Source::Region { handle: staged, length: text.len() as u32 };
    let _ = run(agent, |o| cell::set_value(o, cell, Given::new(Table::of(o), Form::Ascii, source)?));
    let (same, _) = run(agent, |o| {
        let given = Given::new(Table::of(o), Form::Ascii, source)?;
        cell::compare_and_set_value(o, cell, given, given)
    });
    assert!(same);
    let _ = run(agent, |o| release(o, staged, Type::Bytes));
    let stale =
        agent.operation(|o| cell::set_value(o, cell, Given::new(Table::of(o), Form::Latin1, source)?).map(|_| ()));
    assert!(matches!(stale, Err(Error::StaleHandle { .. })), "{stale:?}");
    assert_eq!(get(agent, cell), Value::Latin1(text.clone()));
    let taken = run(agent, |o| cell::snapshot(o, cell));
    let region = taken.region.expect("a copy");
    let _ = run(agent, |o| cell::set(o, cell, 1.0));
    let mut copy = vec![0; text.len()];
    run(agent, |o| bytes::read(Table::of(o), region, 0, &mut copy));
    assert_eq!(copy, text, "a snapshot stays as it is");
    let _ = run(agent, |o| release(o, region, Type::Bytes));
    assert_eq!(run(agent, |o| cell::snapshot(o, cell)).region, None, "a number needs none");
    assert_eq!(audit(agent).live_blocks, 0);
}

const READS: u64 = 1_000_000;
const FIRST: [u8; 1024] = [b'a'; 1024];
const SECOND: [u8; 1000] = [b'b'; 1000];

/// A writer flips one cell between two strings, each freed at once, and its block used again by churn; two agents read.
/// Whoever reads sees one of the two, whole, and its length. A third compares.
#[test]
fn strings_read_while_they_are_flipped_are_never_mixed() {
    let _watchdog = Watchdog::new("strings_read_while_they_are_flipped_are_never_mixed");
    common::controls();
    let heap = heap(512);
    let first = agent(heap);
    let cell = run(first, |o| cell::create_holding(o, Given::text(&FIRST)));
    let over = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let reads: u64 = threads(heap, 3, |number, agent| {
        if number == 0 {
            let mut flips = 0u64;
            let churned = [[0xC3u8; 1024], [0x01; 1024]];
            while over.load(Ordering::Relaxed) < 2 {
                let text: &[u8] = if flips.is_multiple_of(2) { &SECOND } else { &FIRST };
                run(agent, |o| {
                    let _ = cell::set_value(o, cell, Given::text(text))?;
                    // The block that was just freed, with other contents and another length.
                    for contents in &churned {
                        let block = string::make(o, Given::bytes(&contents[..1024 - flips as usize % 64]))?;
                        block.discard(o)?;
                    }
                    Ok(())
                });
                flips += 1;
            }
            println!("{flips} flips");
            return 0;
        }
        let _over = Over(&over);
        let mut read = 0u64;
        let mut lengths = [0u64; 2];
        let mut copy = [0u8; 2048];
        while read < READS && !failed.load(Ordering::Relaxed) {
            let taken = run(agent, |o| cell::take(Table::of(o), cell, agent.transfer(), 2048));
            let Some((form, length)) = taken.block else { panic!("{taken:?}") };
            let copy = &mut copy[..(length as usize).min(2048)];
            agent.memory().copy_out(agent.transfer(), copy);
            let whole = form == Form::Ascii && (copy == FIRST || copy == SECOND);
            if !whole {
                failed.store(true, Ordering::Relaxed);
                panic!("a mix after {read} reads: {form:?}, {length} bytes, {:?} … {:?}", &copy[..8], copy.last());
            }
            lengths[usize::from(length == 1000)] += 1;
            read += 1;
        }
        println!("agent {number}: {read} reads, {lengths:?}");
        read
    })
    .into_iter()
    .sum();
    println!("cases strings_read_while_they_are_flipped_are_never_mixed {reads}");
    assert_eq!(reads, 2 * READS);
    audit(first);
}

/// Counts who ended, also by a failure.
struct Over<'a>(&'a AtomicU64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Long contents change between the pieces: what comes out is one value.
#[test]
fn strings_read_in_pieces_while_they_are_flipped_are_never_mixed() {
    let _watchdog = Watchdog::new("strings_read_in_pieces_while_they_are_flipped_are_never_mixed");
    let heap = heap(512);
    let first = agent(heap);
    let texts = [vec![b'a'; 90_000], vec![b'b'; 61_000]];
    let cell = run(first, |o| cell::create_holding(o, Given::text(&texts[0])));
    let over = AtomicU64::new(0);
    threads(heap, 3, |number, agent| {
        if number == 0 {
            let mut flips = 0usize;
            while over.load(Ordering::Relaxed) < 2 {
                let _ = run(agent, |o| cell::set_value(o, cell, Given::text(&texts[flips % 2])));
                flips += 1;
                std::thread::yield_now();
            }
            println!("{flips} flips");
            return;
        }
        let _over = Over(&over);
        for round in 0..300 {
            let found = if round % 2 == 0 {
                let taken = run(agent, |o| cell::snapshot(o, cell));
                let region = taken.region.expect("a copy");
                let mut copy = vec![0; taken.block.expect("a string").1 as usize];
                run(agent, |o| bytes::read(Table::of(o), region, 0, &mut copy));
                let _ = run(agent, |o| release(o, region, Type::Bytes));
                copy
            } else {
                match run(agent, |o| read(agent, Table::of(o), cell)) {
                    Value::Latin1(text) => text,
                    other => panic!("{other:?}"),
                }
            };
            assert!(texts.contains(&found), "{} bytes", found.len());
        }
    });
    audit(first);
}

/// The same word for two values: the block was freed and taken again 65,536 times. Its whole header tells them apart.
#[test]
fn value_whose_word_comes_round_is_told_apart_by_its_block() {
    let _watchdog = Watchdog::new("value_whose_word_comes_round_is_told_apart_by_its_block");
    common::controls();
    let agent = agent(heap(64));
    let texts = [[b'a'; 9000], [b'b'; 9000]];
    // Keeps the page: one that is given back begins with other generations when it is taken again.
    run(agent, |o| bytes::create(o, 9000));
    let cell = run(agent, |o| cell::create_holding(o, Given::text(&texts[0])));
    let take = || run(agent, |o| cell::take(Table::of(o), cell, agent.transfer(), 0));
    let first = take();
    for round in 1..=65_536 {
        // The block of the size of some granules is free, and the first that fits the next string.
        let _ = run(agent, |o| cell::set(o, cell, 0.0));
        let _ = run(agent, |o| cell::set_value(o, cell, Given::text(&texts[1])));
        assert_eq!(take().word == first.word, round == 65_536, "round {round}");
    }
    assert_ne!(take().generation, first.generation);
    let piece = |taken: Taken| {
        run(agent, |o| cell::piece(Table::of(o), cell, (taken.word, taken.generation), 0, agent.transfer(), 100))
    };
    assert!(!piece(first), "a piece of another value");
    assert!(piece(take()));
    audit(agent);
}

#[test]
fn values_compared_and_set_by_four_agents_are_won_once() {
    let _watchdog = Watchdog::new("values_compared_and_set_by_four_agents_are_won_once");
    let heap = heap(512);
    let first = agent(heap);
    let text = |number: u64| format!("ticket number {number}").into_bytes();
    let cell = run(first, |o| cell::create_holding(o, Given::text(&text(0))));
    let won: u64 = threads(heap, 4, |_, agent| {
        let mut won = 0;
        loop {
            let Value::Latin1(now) = get(agent, cell) else { panic!("no string") };
            let number: u64 = std::str::from_utf8(&now[14..]).expect("digits").parse().expect("a number");
            if number >= 5000 {
                return won;
            }
            let next = text(number + 1);
            won += u64::from(
                run(agent, |o| cell::compare_and_set_value(o, cell, Given::text(&now), Given::text(&next))).0,
            );
        }
    })
    .into_iter()
    .sum();
    assert_eq!(won, 5000);
    let _ = run(first, |o| release(o, cell, Type::Cell));
    assert_eq!(audit(first).live_blocks, 0);
}

/// A name that others take away all the time: who opens it makes the value anew for each attempt, and what was not wanted
/// goes back.
#[test]
fn value_of_a_name_that_comes_and_goes_is_made_for_each_attempt() {
    const ROUNDS: u32 = 60_000;
    let _watchdog = Watchdog::new("value_of_a_name_that_comes_and_goes_is_made_for_each_attempt");
    let heap = heap(512);
    let first = agent(heap);
    threads(heap, 3, |_, agent| {
        for _ in 0..ROUNDS {
            let given = Given::text(b"the first value of the cell");
            let cell = run(agent, |o| name::open(o, b"comes and goes", Shape::Holding(given)));
            let _ = run(agent, |o| name::remove(o, b"comes and goes"));
            let _ = run(agent, |o| release(o, cell, Type::Cell));
        }
    });
    assert_eq!(audit(first).live_blocks, 0);
    println!("cases value_of_a_name_that_comes_and_goes_is_made_for_each_attempt {}", 3 * ROUNDS);
}

/// A snapshot of contents always has a copy of them, also when a writer puts them there between its two looks.
#[test]
fn snapshot_beside_a_writer_never_answers_what_it_did_not_copy() {
    const ROUNDS: u32 = 200_000;
    let _watchdog = Watchdog::new("snapshot_beside_a_writer_never_answers_what_it_did_not_copy");
    let heap = heap(512);
    let first = agent(heap);
    let cell = run(first, |o| cell::create(o, 5.0));
    let done = AtomicBool::new(false);
    threads(heap, 2, |number, agent| {
        if number == 0 {
            while !done.load(Ordering::Relaxed) {
                let _ = run(agent, |o| cell::set(o, cell, 5.0));
                let _ = run(agent, |o| cell::set_value(o, cell, Given::text(b"a short string")));
            }
        } else {
            let mut whole = true;
            for _ in 0..ROUNDS {
                let taken = run(agent, |o| cell::snapshot(o, cell));
                whole &= taken.block.is_some() == taken.region.is_some();
                if let Some(region) = taken.region {
                    let _ = run(agent, |o| release(o, region, Type::Bytes));
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(whole);
        }
    });
    println!("cases snapshot_beside_a_writer_never_answers_what_it_did_not_copy {ROUNDS}");
}
