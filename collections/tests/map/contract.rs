//! What JavaScript's `Map` promises, and what it does not have: changes that depend on the value.

use coheap::Type;
use coheap::map::{self, Key};
use coheap::name::{self, Shape};
use coheap::string::Given;
use coheap::value;
use coheap_alloc::Error;

use super::common::{audit, controls, heap, run};
use super::{Item, Shared, number, table, text};

#[test]
fn map_answers_what_was_set_in_the_order_of_insertion() {
    controls();
    let map = Shared::new(heap(256));
    assert_eq!((map.size(), map.get(&text("a")), map.entries()), (0, None, vec![]));
    map.set(&text("a"), &number(1.0));
    map.set(&number(1.0), &text("one"));
    map.set(&text("1"), &text("a string that needs a block"));
    map.set(&text("a"), &Item::Special(value::NULL));
    assert_eq!((map.size(), map.get(&text("a"))), (3, Some(Item::Special(value::NULL))));
    assert_eq!(map.get(&number(1.0)), Some(text("one")));
    assert_eq!(map.get(&text("1")), Some(text("a string that needs a block")));
    assert!(map.delete(&text("a")) && !map.delete(&text("a")));
    map.set(&text("a"), &number(2.0));
    let keys: Vec<_> = map.entries().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [number(1.0), text("1"), text("a")]);
    map.clear();
    assert_eq!((map.size(), map.get(&text("a")), map.entries()), (0, None, vec![]));
    map.set(&text("a"), &number(3.0));
    assert_eq!(map.entries(), [(text("a"), number(3.0))]);
    audit(map.agent);
    map.release();
    assert_eq!(audit(map.agent).live_blocks, 0);
}

#[test]
fn keys_are_the_same_as_in_javascript() {
    let map = Shared::new(heap(256));
    map.set(&number(0.0), &number(1.0));
    assert_eq!(map.get(&number(-0.0)), Some(number(1.0)));
    map.set(&number(-0.0), &number(2.0));
    map.set(&number(f64::NAN), &number(3.0));
    assert_eq!(map.get(&Item::Number(value::from_number(-f64::NAN))), Some(number(3.0)));
    // Lone surrogates, and the same units in two widths.
    map.set(&Item::Text(vec![0xD800, 0x61, 0x62, 0x63]), &number(4.0));
    map.set(&Item::Text(vec![0xDC00, 0x61, 0x62, 0x63]), &number(5.0));
    assert_eq!(map.get(&Item::Text(vec![0xD800, 0x61, 0x62, 0x63])), Some(number(4.0)));
    map.set(&text("caf\u{e9} au lait"), &number(6.0));
    let narrow = Key::given(table(map.agent), Given::text(b"caf\xe9 au lait")).expect("a key");
    let found = map::get(table(map.agent), map.handle, &narrow, 0, 0).expect("found").expect("there");
    assert_eq!(found.word, value::from_number(6.0));
    // A name that is an atom for ever, and its text.
    let atom = Key::given(table(map.agent), Given::text(b"content-type")).expect("a key");
    run(map.agent, |o| map::set(o, map.handle, &atom, Given::number(7.0)));
    assert_eq!(map.get(&text("content-type")), Some(number(7.0)));
    assert_eq!(map.size(), 6);
    for word in [value::UNDEFINED, value::TRUE] {
        assert!(Key::given(table(map.agent), Given::Word(word)).is_none());
    }
    assert!(Key::given(table(map.agent), Given::bytes(b"bytes")).is_none());
    audit(map.agent);
}

#[test]
fn changes_that_depend_on_the_value_see_it() {
    let map = Shared::new(heap(256));
    let (key, long) = (text("a key with a block of its own"), text("a value with a block of its own"));
    assert_eq!(map.add(&key, 2.0), Ok(2.0));
    assert_eq!(map.add(&key, 0.5), Ok(2.5));
    assert_eq!(map.insert_if_absent(&key, &long), Some(number(2.5)));
    assert!(!map.compare_and_set(&key, None, Some(&long)));
    assert!(!map.compare_and_set(&key, Some(&number(2.0)), Some(&long)));
    assert!(map.compare_and_set(&key, Some(&number(2.5)), Some(&long)));
    assert_eq!(map.add(&key, 1.0), Err(Error::NotANumber { found: value::Tag::String as u32 }));
    assert_eq!(map.insert_if_absent(&key, &number(1.0)), Some(long.clone()));
    assert!(map.compare_and_set(&key, Some(&long), None) && map.size() == 0);
    assert!(map.compare_and_set(&key, None, None) && map.size() == 0);
    assert!(map.compare_and_set(&key, None, Some(&long)) && map.size() == 1);
    assert!(map.delete(&key));
    assert_eq!(map.insert_if_absent(&key, &long), None);
    assert_eq!(map.get(&key), Some(long));
    audit(map.agent);
}

#[test]
fn map_that_is_gone_or_no_map_is_refused() {
    let heap = heap(256);
    let map = Shared::new(heap);
    let cell = run(map.agent, |o| coheap::cell::create(o, 1.0));
    let wrong = Shared { handle: cell, ..map };
    let refused = Error::WrongType { expected: Type::Map as u32, found: Type::Cell as u32 };
    assert_eq!(wrong.try_set(&number(1.0), &number(1.0)), Err(refused));
    assert_eq!(map::size(table(map.agent), cell), Err(refused));
    let named = run(map.agent, |o| name::open(o, b"map", Shape::Map));
    assert_eq!(run(map.agent, |o| name::open(o, b"map", Shape::Map)), named);
    map.set(&number(1.0), &number(1.0));
    map.release();
    assert_eq!(map.try_set(&number(1.0), &number(1.0)), Err(map.handle.stale()));
    assert_eq!(map::size(table(map.agent), map.handle), Err(map.handle.stale()));
    audit(map.agent);
}
