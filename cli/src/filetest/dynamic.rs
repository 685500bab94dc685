//! `; dyn: %f(ARG, …) stores=0 loads=1 calls=1`: what a call executes.
//!
//! The oracle of `memopt_trace` runs the function as the passes leave it, in the byte order of
//! the target, and counts the loads, stores and calls that its own frame executes; those of
//! its callees are theirs. Functions of the file run when they are called. Others
//! belong to a host that looks at memory, changes nothing and returns zero. The
//! policy is that of the function. A key that is left out may have any count.
//! The run has to be observed as that of the function before the passes.
//!
//! An argument is an integer or a place: the name of an object and maybe an
//! offset, as in `vmctx+8`. Each name stands for 64 KiB of zeros, from 4 KiB
//! before the name on. `; dyn-memory: vmctx+8=task task+16=1:i32` puts something
//! else there, for all `dyn:` lines of the function: places, integers and the
//! addresses of functions, of 8 bytes unless a type follows. Such words may
//! also stand on a `dyn:` line, for that line.

use crate::clif;
use crate::complaint::{Complaint, Position};
use crate::filetest::failure::Failure;
use cranelift_codegen::ir::{Endianness, Function};
use cranelift_memopt::CalleeName;
use cranelift_reader::{Details, TestFile};
use memopt_policy::DeclaredPolicy;
use memopt_trace::heap::Heap;
use memopt_trace::inputs::Inputs;
use memopt_trace::layout;
use memopt_trace::machine::{self, Counts, Program, Run};
use memopt_trace::trace::End;
use memopt_trace::world::{Temper, slot_regions};

/// Bytes of an object.
const OBJECT_BYTES: usize = 0x1_0000;
/// Where in its bytes the name of an object points to.
const ORIGIN: i64 = 0x1000;
/// Objects of one function. No test needs more; the layout has 64.
const MAX_OBJECTS: usize = 32;
/// After so many instructions a call counts as endless.
const FUEL: u64 = 1 << 20;

/// One `dyn:` line.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    text: &'a str,
    entry: usize,
    hosts: Vec<CalleeName>,
    inputs: Inputs,
    cells: Vec<Cell>,
    loads: Option<u32>,
    stores: Option<u32>,
    calls: Option<u32>,
}

/// What memory holds somewhere at the beginning.
#[derive(Clone, Copy, Debug)]
struct Cell {
    object: usize,
    start: usize,
    value: u64,
    bytes: usize,
}

impl Cell {
    /// Puts it there; `false` if that lies outside of the object.
    fn put(self, heap: &mut Heap, order: Endianness) -> bool {
        let bytes = match order {
            Endianness::Little => &self.value.to_le_bytes()[..self.bytes],
            Endianness::Big => &self.value.to_be_bytes()[8 - self.bytes..],
        };
        heap.put(self.object, self.start, bytes)
    }
}

/// The `dyn:` lines of a file.
///
/// # Errors
///
/// The first word that is not understood, with its place.
pub fn claims<'a>(
    name: &str,
    text: &'a str,
    file: &TestFile<'a>,
) -> Result<Vec<Claim<'a>>, Complaint> {
    let mut claims = Vec::new();
    for (_, details) in &file.functions {
        let complain = |(word, why): Wrong<'_>| Complaint::at(name, Position::of(text, word), why);
        let lines = |keyword| lines(details, keyword);
        let memory: Vec<&'a str> = lines("dyn-memory:")
            .flat_map(str::split_whitespace)
            .collect();
        let before = claims.len();
        for line in lines("dyn:") {
            claims.push(claim(line, &memory, file).map_err(complain)?);
        }
        if let Some(word) = memory.first()
            && claims.len() == before
        {
            return Err(complain((word, "no `dyn:` line uses this memory".into())));
        }
    }
    Ok(claims)
}

/// A part of the text, and what is wrong with it.
type Wrong<'a> = (&'a str, String);

fn lines<'a>(details: &Details<'a>, keyword: &str) -> impl Iterator<Item = &'a str> {
    let comments = details.comments.iter();
    comments.filter_map(move |comment| clif::directive(comment.text, keyword))
}

fn claim<'a>(
    line: &'a str,
    memory: &[&'a str],
    file: &TestFile<'a>,
) -> Result<Claim<'a>, Wrong<'a>> {
    let call = || (line, "this is not `%function(argument, …)`".to_string());
    let (callee, rest) = line.split_once('(').ok_or_else(call)?;
    let (args, rest) = rest.split_once(')').ok_or_else(call)?;
    let mut functions = file.functions.iter();
    let entry = functions.position(|(func, _)| func.name.to_string() == callee.trim());
    let entry = entry.ok_or_else(|| (callee, "no such function in this file".to_string()))?;
    let mut objects = Objects::default();
    let args = args.split(',').map(str::trim).filter(|arg| !arg.is_empty());
    let args = args
        .map(|arg| objects.word(arg).map(u128::from))
        .collect::<Result<Vec<_>, _>>()?;
    let params = file.functions[entry].0.signature.params.len();
    if args.len() != params {
        return Err((line, format!("{callee} takes {params} arguments")));
    }
    let mut claim = Claim {
        text: line,
        entry,
        hosts: Vec::new(),
        inputs: Inputs {
            args,
            fuel: FUEL,
            ..Inputs::default()
        },
        cells: Vec::new(),
        loads: None,
        stores: None,
        calls: None,
    };
    for word in memory {
        objects.cell(word)?;
    }
    for word in rest.split_whitespace() {
        claim.count_or_cell(word, &mut objects)?;
    }
    if (claim.loads, claim.stores, claim.calls) == (None, None, None) {
        return Err((line, "this claims nothing: add `stores=COUNT`".into()));
    }
    claim.inputs.heap = objects.heap;
    claim.cells = objects.cells;
    claim.hosts = objects.functions;
    Ok(claim)
}

impl<'a> Claim<'a> {
    fn count_or_cell(&mut self, word: &'a str, objects: &mut Objects<'a>) -> Result<(), Wrong<'a>> {
        let (key, count) = word.split_once('=').unwrap_or((word, ""));
        let counter = match key {
            "loads" => &mut self.loads,
            "stores" => &mut self.stores,
            "calls" => &mut self.calls,
            _ => return objects.cell(word),
        };
        let count = count.parse().map_err(|_| (word, "not a count".into()))?;
        *counter = Some(count);
        Ok(())
    }

    /// Runs the call before and after the passes, on a machine of this byte order, and compares.
    ///
    /// # Errors
    ///
    /// What is not as claimed, or what makes one run differ from the other.
    pub fn check(
        &self,
        before: &[Function],
        after: &[Function],
        policies: &[DeclaredPolicy],
        order: Endianness,
    ) -> Result<(), Failure> {
        let mut inputs = self.inputs.clone();
        for cell in &self.cells {
            cell.put(&mut inputs.heap, order);
        }
        let policy = &policies[self.entry];
        let slot_regions = slot_regions(before, policy);
        let run = |functions: &[Function]| {
            let program = Program {
                functions,
                entry: self.entry,
                hosts: &self.hosts,
                policy,
                slot_regions: &slot_regions,
                temper: Temper::Quiet,
                order,
            };
            machine::run(&program, &inputs)
        };
        let wrong = |why: String| Err(Failure::Wrong(format!("dyn: {}: {why}", self.text)));
        let (before, after) = (run(before), run(after));
        for (run, when) in [(&before, "before"), (&after, "after")] {
            if let Some(why) = meaningless(run) {
                return wrong(format!("{why} {when} the passes"));
            }
        }
        if let Some(difference) = before.trace.difference(&after.trace) {
            return wrong(format!("the passes change what is observed\n{difference}"));
        }
        if self.is_met(&after.counts) {
            return Ok(());
        }
        let (before, after) = (text(&before.counts), text(&after.counts));
        Err(Failure::Unmet(format!(
            "dyn: {}: executed {after}; before the passes {before}",
            self.text
        )))
    }

    fn is_met(&self, counts: &Counts) -> bool {
        let met = |claimed: Option<u32>, count| claimed.is_none_or(|claimed| claimed == count);
        met(self.loads, counts.loads)
            && met(self.stores, counts.stores)
            && met(self.calls, counts.calls)
    }
}

/// Why a run says nothing.
fn meaningless(run: &Run) -> Option<String> {
    match &run.trace.end {
        End::Undefined(why) | End::BrokenPromise(why) => Some(format!("undefined: {why}")),
        End::Unsupported(what) => Some(format!("cannot run {what}")),
        End::Cut => Some("does not end".to_string()),
        End::Return(..) | End::Trap(..) | End::Exception(..) | End::Gone => None,
    }
}

fn text(counts: &Counts) -> String {
    let Counts {
        loads,
        stores,
        calls,
    } = counts;
    format!("stores={stores} loads={loads} calls={calls}")
}

/// Memory with names.
#[derive(Default)]
struct Objects<'a> {
    names: Vec<&'a str>,
    functions: Vec<CalleeName>,
    heap: Heap,
    cells: Vec<Cell>,
}

impl<'a> Objects<'a> {
    /// `PLACE=VALUE` or `PLACE=VALUE:TYPE`.
    fn cell(&mut self, word: &'a str) -> Result<(), Wrong<'a>> {
        let (place, value) = word
            .split_once('=')
            .ok_or_else(|| (word, "this is not PLACE=VALUE".to_string()))?;
        let typed = value.rsplit_once(':').and_then(|(value, ty)| {
            let bytes = bytes_of(ty)?;
            Some((value, bytes))
        });
        let (value, bytes) = typed.unwrap_or((value, 8));
        let (object, offset) = self
            .place(place)?
            .ok_or_else(|| (place, "this is no place in memory".to_string()))?;
        let cell = Cell {
            object,
            start: usize::try_from(offset + ORIGIN).unwrap_or(usize::MAX / 2),
            value: self.word(value)?,
            bytes,
        };
        if cell.put(&mut self.heap, Endianness::Little) {
            self.cells.push(cell);
            return Ok(());
        }
        Err((place, "this lies outside of the object".into()))
    }

    /// An integer, the address of a place, or that of a function.
    fn word(&mut self, word: &'a str) -> Result<u64, Wrong<'a>> {
        if let Some(number) = integer(word) {
            return Ok(number as u64);
        }
        if let Some(name) = function(word) {
            let address = layout::function_address(&name);
            self.functions.push(name);
            return Ok(address);
        }
        let (object, offset) = self
            .place(word)?
            .ok_or_else(|| (word, "neither a number nor a place".to_string()))?;
        let address = layout::object_address(object) as i64;
        Ok((address + ORIGIN + offset) as u64)
    }

    /// The object and the offset of `NAME`, `NAME+N` or `NAME-N`.
    fn place(&mut self, word: &'a str) -> Result<Option<(usize, i64)>, Wrong<'a>> {
        let end = word.find(['+', '-']).unwrap_or(word.len());
        let (name, offset) = word.split_at(end);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let offset = match offset.strip_prefix('+').unwrap_or(offset) {
            "" => Some(0),
            offset => integer(offset),
        };
        let (true, Some(offset)) = (is_name, offset) else {
            return Ok(None);
        };
        let known = self.names.iter().position(|known| *known == name);
        let object = match known {
            Some(object) => object,
            None if self.names.len() < MAX_OBJECTS => self.add(name),
            None => return Err((word, "too many objects".into())),
        };
        Ok(Some((object, offset)))
    }

    fn add(&mut self, name: &'a str) -> usize {
        let fresh = Heap::zeroed(1, OBJECT_BYTES);
        self.heap.objects.extend(fresh.objects);
        self.names.push(name);
        self.names.len() - 1
    }
}

fn bytes_of(ty: &str) -> Option<usize> {
    match ty {
        "i8" => Some(1),
        "i16" => Some(2),
        "i32" => Some(4),
        "i64" => Some(8),
        _ => None,
    }
}

fn integer(word: &str) -> Option<i64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|n| n as i64),
        None => word.parse().ok(),
    }
}

fn function(word: &str) -> Option<CalleeName> {
    if let Some(name) = word.strip_prefix('%') {
        return Some(CalleeName::Named(name.as_bytes().into()));
    }
    let (namespace, index) = word.strip_prefix('u')?.split_once(':')?;
    Some(CalleeName::User(
        namespace.parse().ok()?,
        index.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "\
function %f(i64, i32) -> i64 {
    fn0 = %host(i64)
block0(v0: i64, v1: i32):
    v2 = load.i64 notrap v0+8
    brif v1, block1, block2
block1:
    store notrap v2, v2+4
    call fn0(v2)
    jump block2
block2:
    return v2
}
";

    /// What is wrong with `lines`, as claims about [`CALLER`] left as it is.
    fn check(lines: &str) -> Vec<String> {
        let text = format!("{CALLER}{lines}");
        let file = clif::parse("a.clif", &text).unwrap();
        let functions: Vec<_> = file
            .functions
            .iter()
            .map(|(func, _)| func.clone())
            .collect();
        let policies = vec![DeclaredPolicy::default(); functions.len()];
        match claims("a.clif", &text, &file) {
            Ok(claims) => claims
                .iter()
                .filter_map(|claim| {
                    let little = Endianness::Little;
                    claim.check(&functions, &functions, &policies, little).err()
                })
                .map(|why| why.to_string())
                .collect(),
            Err(complaint) => vec![complaint.to_string()],
        }
    }

    #[test]
    fn what_a_path_does_not_execute_does_not_count() {
        let memory = "; dyn-memory: vm+8=other+16\n";
        let cold = check(&format!(
            "{memory}; dyn: %f(vm, 0) stores=0 loads=1 calls=0\n"
        ));
        assert_eq!(cold, [""; 0]);
        let hot = check(&format!(
            "{memory}; dyn: %f(vm, 1) stores=1 loads=1 calls=1\n"
        ));
        assert_eq!(hot, [""; 0]);
        let wrong = check(&format!("{memory}; dyn: %f(vm, 1) stores=0\n"));
        assert!(
            wrong[0].contains("executed stores=1 loads=1 calls=1"),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_line_may_have_memory_of_its_own() {
        assert_eq!(check("; dyn: %f(vm, 1) vm+8=vm calls=1\n"), [""; 0]);
        let undefined = check("; dyn: %f(vm, 1) calls=1\n");
        assert!(undefined[0].contains("where nothing is"), "{undefined:?}");
    }

    #[test]
    fn a_word_that_is_not_understood_has_a_place() {
        for (line, place) in [
            ("; dyn: %g() stores=0", "a.clif:13:8: no such function"),
            ("; dyn: %f(vm) stores=0", "a.clif:13:8: %f takes 2"),
            ("; dyn: %f(vm, 0)", "a.clif:13:8: this claims nothing"),
            ("; dyn: %f(vm, 0) stores=x", "a.clif:13:18: not a count"),
            ("; dyn: %f(vm, +) stores=0", "a.clif:13:15: neither"),
            (
                "; dyn: %f(vm, 0) vm+70000=1 stores=0",
                "a.clif:13:18: this lies",
            ),
            ("; dyn-memory: vm=1", "a.clif:13:15: no `dyn:` line"),
        ] {
            let said = check(&format!("{line}\n"));
            assert!(said[0].starts_with(place), "{line}: {said:?}");
        }
    }

    #[test]
    fn the_run_has_to_be_observed_as_before() {
        let text = format!("{CALLER}; dyn: %f(vm, 1) vm+8=vm calls=1\n");
        let file = clif::parse("a.clif", &text).unwrap();
        let claims = claims("a.clif", &text, &file).unwrap();
        let before = vec![file.functions[0].0.clone()];
        let other = CALLER.replace("v2+4", "v2+5");
        let after = vec![
            clif::parse("b.clif", &other).unwrap().functions[0]
                .0
                .clone(),
        ];
        let policies = [DeclaredPolicy::default()];
        let said = claims[0].check(&before, &after, &policies, Endianness::Little);
        // In every version of Cranelift.
        let why = said.unwrap_err();
        assert!(
            matches!(&why, Failure::Wrong(why) if why.contains("change what is observed")),
            "{why}"
        );
    }
}
