//! A struct at two ages, each side with either: what a program and a library of different headers do to one another.

use vidcache::Error;

use super::{Grows, MAX, theirs};

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
struct First {
    size: usize,
    kept: u64,
}
grows!(First: kept);

/// The struct of a later header, which has the same name there.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
struct Second {
    size: usize,
    kept: u64,
    grown: u64,
    also: u64,
}
grows!(Second: kept, also);

const CANARY: u64 = 0xA5A5_A5A5_A5A5_A5A5;

/// A program's struct, with what lies behind it on its stack.
#[repr(C)]
struct Stack<T> {
    theirs: T,
    behind: [u64; 8],
}

fn stack<T>(theirs: T) -> Stack<T> {
    Stack { theirs, behind: [CANARY; 8] }
}

/// What the library of `L` reads of the program's struct.
fn reads<L: Grows, P>(program: &Stack<P>, left_out: L) -> Result<L, Error> {
    // SAFETY: `size` of the tests' structs is at most their own length.
    unsafe { theirs((&raw const program.theirs).cast::<L>()) }?.expect("not NULL").read(left_out)
}

/// What the library of `L` writes to the program's struct.
fn writes<L: Grows, P>(program: &mut Stack<P>, ours: L) -> Result<(), Error> {
    // SAFETY: as above.
    unsafe { theirs((&raw mut program.theirs).cast::<L>().cast_const()) }?.expect("not NULL").write(ours);
    assert_eq!(program.behind, [CANARY; 8], "written behind the program's struct");
    Ok(())
}

const OLD: usize = size_of::<First>();
const NEW: usize = size_of::<Second>();

#[test]
fn every_size_that_there_was_is_known() {
    assert_eq!((First::SIZES, Second::SIZES), (&[OLD][..], &[OLD, NEW][..]));
}

#[test]
fn a_grown_library_reads_an_old_program_s_struct_and_takes_the_rest_for_left_out() {
    let program = stack(First { size: OLD, kept: 1 });
    let left_out = Second { size: NEW, kept: 8, grown: 9, also: 10 };
    assert_eq!(reads(&program, left_out), Ok(Second { size: OLD, kept: 1, grown: 9, also: 10 }));
}

#[test]
fn a_grown_library_writes_no_byte_behind_an_old_program_s_struct() {
    let mut program = stack(First { size: OLD, kept: 1 });
    assert_eq!(writes(&mut program, Second { size: NEW, kept: 2, grown: 3, also: 4 }), Ok(()));
    assert_eq!(program.theirs, First { size: OLD, kept: 2 }, "with the size that the program set");
}

#[test]
fn an_old_library_reads_a_newer_program_s_struct_whose_new_fields_are_left_out() {
    let mut program = stack(Second { size: NEW, kept: 1, grown: 0, also: 0 });
    let left_out = First { size: OLD, kept: 8 };
    assert_eq!(reads(&program, left_out), Ok(First { size: NEW, kept: 1 }));
    program.theirs.also = 1 << 63;
    let refused = reads(&program, left_out).expect_err("a field that it does not know is set");
    assert!(refused.to_string().contains("install the library of that header"), "{refused}");
}

#[test]
fn an_old_library_writes_zero_to_what_it_does_not_know() {
    let mut program = stack(Second { size: NEW, kept: 1, grown: CANARY, also: CANARY });
    assert_eq!(writes(&mut program, First { size: OLD, kept: 2 }), Ok(()));
    assert_eq!(program.theirs, Second { size: NEW, kept: 2, grown: 0, also: 0 });
}

#[test]
fn both_of_one_age_exchange_all_of_it() {
    let mut program = stack(Second { size: NEW, kept: 1, grown: 2, also: 3 });
    assert_eq!(reads(&program, Second { size: NEW, kept: 7, grown: 8, also: 9 }), Ok(program.theirs));
    assert_eq!(writes(&mut program, Second { size: NEW, kept: 4, grown: 5, also: 6 }), Ok(()));
    assert_eq!(program.theirs, Second { size: NEW, kept: 4, grown: 5, also: 6 });
}

#[test]
fn a_size_that_no_header_gave_is_refused_and_nothing_is_written() {
    for size in [0, 1, 8, OLD - 1, OLD + 1, NEW - 8, NEW - 1, MAX + 1, usize::MAX] {
        let mut program = stack(Second { size, kept: 1, grown: CANARY, also: CANARY });
        let before = program.theirs;
        let ours = Second { size: NEW, kept: 2, grown: 3, also: 4 };
        for refused in [reads(&program, ours).map(|_| ()), writes(&mut program, ours)] {
            let refused = refused.expect_err("no header gave it");
            assert!(refused.to_string().contains("set it before the call"), "{size}: {refused}");
        }
        assert_eq!(program.theirs, before);
    }
}

#[test]
fn null_is_none_and_of_the_longest_size_no_byte_is_missed() {
    // SAFETY: NULL.
    assert!(unsafe { theirs(std::ptr::null::<First>()) }.is_ok_and(|none| none.is_none()));
    let mut page = vec![0u64; MAX / 8];
    page[0] = MAX as u64;
    page[MAX / 8 - 1] = 1 << 56;
    // SAFETY: `MAX` readable bytes.
    let longest = unsafe { theirs(page.as_ptr().cast::<First>()) };
    assert!(longest.expect("a size").expect("not NULL").read(First { size: OLD, kept: 0 }).is_err());
}
