//! What one agent is promised: what `wasi:http/types` says, frozen fields, names, and what does not fit.

use coheap::fields::{self, LARGEST, MOST, OVERHEAD};
use coheap::name::{self, Shape};
use coheap::{Type, bytes, cell, release};
use coheap_alloc::Error;

use super::common::{agent, audit, heap, run};
use super::{append, append_all, create, delete, entries, get, get_to, has, owned, set, table, try_get, with_lines};

#[test]
fn fields_do_what_wasi_http_says() {
    let agent = agent(heap(256));
    let headers = create(agent, &[(b"Foo", b"1"), (b"bar", b""), (b"FOO", b"2")]);
    // Any casing finds, the first casing is kept, and so is the order.
    assert_eq!(get(agent, headers, b"fOO"), Some(b"1, 2".to_vec()));
    append(agent, headers, b"foo", b"3").expect("append");
    assert_eq!(entries(agent, headers), owned(&[("Foo", "1"), ("bar", ""), ("Foo", "2"), ("Foo", "3")]));
    // set replaces all values, in place; set to no values removes.
    set(agent, headers, b"FOO", &[b"4", b"5"]).expect("set");
    assert_eq!(entries(agent, headers), owned(&[("Foo", "4"), ("Foo", "5"), ("bar", "")]));
    set(agent, headers, b"foo", &[]).expect("set");
    assert!(!has(agent, headers, b"foo"));
    // An empty value is a value.
    assert!(has(agent, headers, b"Bar"));
    assert_eq!(get(agent, headers, b"bar"), Some(Vec::new()));
    // Reading a bad name finds nothing, changing one is refused.
    for byte in 0..=255u8 {
        let name = [b'a', byte, b'a'];
        let good = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let refused = Err(Error::InvalidField { character: byte.into(), offset: 1 });
        assert!(!has(agent, headers, &name));
        assert_eq!(get(agent, headers, &name), None);
        assert_eq!(append(agent, headers, &name, b"v"), if good { Ok(()) } else { refused }, "{byte:#x}");
        assert_eq!(set(agent, headers, &name, &[b"v"]), if good { Ok(()) } else { refused });
        assert_eq!(delete(agent, headers, &name), if good { Ok(()) } else { refused });
        // At every place of a word.
        for place in 0..17 {
            let mut value = [b'v'; 17];
            value[place as usize] = byte;
            let good = byte == b'\t' || (byte >= b' ' && byte != 0x7F);
            let refused = Err(Error::InvalidField { character: byte.into(), offset: place });
            assert_eq!(set(agent, headers, b"v", &[&value]), if good { Ok(()) } else { refused }, "{byte:#x} {place}");
        }
    }
    let empty = Err(Error::InvalidField { character: 0, offset: 0 });
    assert_eq!(set(agent, headers, b"", &[b"v"]), empty);
    assert_eq!(append(agent, headers, b"", b"v"), empty);
    assert_eq!(delete(agent, headers, b""), empty);
    assert_eq!(get(agent, headers, b""), None);
    // A list with one bad line makes nothing.
    let before = audit(agent);
    let refused =
        with_lines(agent, &[(b"good", b"v"), (b"bad", b"\n")], |lines| agent.operation(|o| fields::create(o, lines)));
    assert_eq!(refused, Err(Error::InvalidField { character: 10, offset: 0 }));
    assert_eq!(audit(agent).live_blocks, before.live_blocks);
}

#[test]
fn fields_frozen_refuse_changes_and_their_clones_do_not() {
    let agent = agent(heap(256));
    let headers = create(agent, &[(b"a", b"1")]);
    assert!(!run(agent, |_| fields::is_frozen(table(agent), headers)));
    for _ in 0..2 {
        run(agent, |o| fields::freeze(o, headers));
        assert!(run(agent, |_| fields::is_frozen(table(agent), headers)));
    }
    let refused = Err(Error::Immutable { index: headers.index });
    assert_eq!(set(agent, headers, b"a", &[b"2"]), refused);
    assert_eq!(append(agent, headers, b"b", b"2"), refused);
    assert_eq!(delete(agent, headers, b"a"), refused);
    assert_eq!(delete(agent, headers, b"not there"), Err(Error::InvalidField { character: 32, offset: 3 }));
    assert_eq!(delete(agent, headers, b"not-there"), refused);
    let copy = run(agent, |o| fields::duplicate(o, headers));
    set(agent, copy, b"A", &[b"2"]).expect("a clone can be changed");
    assert_eq!(get(agent, copy, b"a"), Some(b"2".to_vec()));
    assert_eq!(get(agent, headers, b"a"), Some(b"1".to_vec()));
    let _ = run(agent, |o| release(o, headers, Type::Fields));
    assert_eq!(get(agent, copy, b"a"), Some(b"2".to_vec()));
    // Those without a line, too.
    let empty = create(agent, &[]);
    run(agent, |o| fields::freeze(o, empty));
    assert!(append(agent, empty, b"a", b"1").is_err());
    assert_eq!(entries(agent, run(agent, |o| fields::duplicate(o, empty))), vec![]);
    audit(agent);
}

#[test]
fn fields_of_a_name_are_the_same_for_all() {
    let agent = agent(heap(256));
    let headers = run(agent, |o| name::open(o, b"headers", Shape::Fields));
    append(agent, headers, b"a", b"1").expect("append");
    assert_eq!(run(agent, |o| name::open(o, b"headers", Shape::Fields)), headers);
    let wrong = agent.operation(|o| name::open(o, b"headers", Shape::Cell(0.0)));
    assert_eq!(wrong, Err(Error::WrongType { expected: 1, found: 3 }));
    assert!(matches!(agent.operation(|_| cell::get(table(agent), headers)), Err(Error::WrongType { .. })));
    assert!(run(agent, |o| name::remove(o, b"headers")).0);
    // Without its name they live until their last reference.
    assert_eq!(try_get(agent, headers, b"a"), Ok(Some(b"1".to_vec())));
    let _ = run(agent, |o| release(o, headers, Type::Fields));
    assert_eq!(try_get(agent, headers, b"a"), Err(headers.stale()));
    assert_eq!(append(agent, headers, b"a", b"1"), Err(headers.stale()));
    let number = run(agent, |o| cell::create(o, 1.0));
    assert_eq!(set(agent, number, b"a", &[b"1"]), Err(Error::WrongType { expected: 3, found: 1 }));
    audit(agent);
}

#[test]
fn fields_known_by_their_sequence_are_not_read_again() {
    let agent = agent(heap(256));
    let headers = create(agent, &[(b"a", b"1")]);
    let sequence = || get_to(agent, headers, b"a", 64).expect("there").1;
    let is_same = |sequence| agent.operation(|_| Ok(fields::is_same(table(agent), headers, sequence))).expect("a look");
    let first = sequence();
    assert!(is_same(first));
    set(agent, headers, b"b", &[b"1"]).expect("set");
    assert!(!is_same(first));
    let second = sequence();
    assert!(is_same(second));
    delete(agent, headers, b"a").expect("delete");
    assert!(!is_same(second));
    let last = sequence();
    let _ = run(agent, |o| release(o, headers, Type::Fields));
    assert!(!is_same(last), "the fields are gone");
}

#[test]
fn fields_too_large_are_refused_and_unchanged() {
    let agent = agent(heap(512));
    let headers = create(agent, &[]);
    let largest = vec![b'v'; (LARGEST - OVERHEAD - 1) as usize];
    set(agent, headers, b"n", &[&largest]).expect("as large as fields may be");
    let refused = Err(Error::fields_too_large(u64::from(LARGEST) + 33, u64::from(LARGEST)));
    assert_eq!(append(agent, headers, b"m", b""), refused);
    let beyond = vec![b'v'; LARGEST as usize];
    assert!(matches!(set(agent, headers, b"n", &[&beyond]), Err(Error::FieldsTooLarge { .. })));
    assert!(matches!(set(agent, headers, &vec![b'n'; 1 << 20], &[b""]), Err(Error::FieldsTooLarge { .. })));
    assert_eq!(entries(agent, headers), [(b"n".to_vec(), largest)]);
    delete(agent, headers, b"N").expect("delete");
    let lines: Vec<_> = (0..MOST).map(|_| (&b"n"[..], &b""[..])).collect();
    append_all(agent, headers, &lines).expect("as many as there may be");
    assert_eq!(entries(agent, headers).len(), MOST as usize);
    assert!(matches!(append(agent, headers, b"n", b""), Err(Error::FieldsTooLarge { .. })));
    // Too large for the transfer buffer: the length is answered, the caller copies the lines.
    let got = get_to(agent, headers, b"n", 16).expect("there");
    assert_eq!(got.0, Some((MOST - 1) * 2));
    audit(agent);
}

#[test]
fn fields_without_memory_stay_as_they_were() {
    let agent = agent(heap(40));
    let headers = create(agent, &[(b"a", b"1")]);
    let mut taken = Vec::new();
    while let Ok(handle) = agent.operation(|o| bytes::create(o, 65_536)) {
        taken.push(handle);
    }
    let value = vec![b'v'; 7000];
    assert!(matches!(set(agent, headers, b"a", &[&value]), Err(Error::OutOfMemory { .. })));
    assert_eq!(entries(agent, headers), owned(&[("a", "1")]));
    // Removing the last line needs none.
    delete(agent, headers, b"a").expect("delete");
    for handle in taken {
        let _ = run(agent, |o| release(o, handle, Type::Bytes));
    }
    set(agent, headers, b"a", &[&value]).expect("there is room again");
    audit(agent);
}
