//! What goes into a cell and comes out of it, of every kind and by every way.

use coheap::cell::{self, Taken};
use coheap::name::{self, Shape};
use coheap::string::{Form, Given, Source};
use coheap::value;
use coheap::{Table, Type, atom, bytes, release};
use coheap_alloc::{Error, Kind};

use super::common::{self, Watchdog, agent, audit, heap, run};
use super::{Value, get, set, utf16};

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
