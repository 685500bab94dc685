//! Keeps Wasmtime from tripping over the names of functions.
//!
//! Wasmtime names each file of CLIF after the function in it. A name with a
//! slash, as C++ operators and some generators have it, would be a directory,
//! and Wasmtime panics because there is none. The names are debugging
//! information in a custom section, so they can be taken away: the section is
//! renamed in place, which moves nothing, and then nobody reads it.

/// The size of the preamble: magic number, version and layer.
const PREAMBLE: usize = 8;
/// The id of a custom section, in modules and in components.
const CUSTOM: u8 = 0;
/// The ids of sections of a component that hold a module or a component.
const NESTED: [u8; 2] = [1, 4];

/// Hides function names with a slash in `wasm`, a module or a component.
///
/// Anything that is not well-formed is left alone: it will not compile.
pub fn hide_slashes(wasm: &mut [u8]) {
    // Half-way through, what was hidden stays hidden; that is only names.
    let _ = walk(wasm);
}

/// Goes through the sections; `None` at the first that is malformed.
fn walk(wasm: &mut [u8]) -> Option<()> {
    let component = super::wasm::is_component(wasm);
    let mut at = PREAMBLE;
    while at < wasm.len() {
        let id = wasm[at];
        let (size, start) = leb(wasm, at + 1)?;
        let end = start.checked_add(size)?;
        let section = wasm.get_mut(start..end)?;
        if id == CUSTOM {
            hide_if_slashed(section);
        } else if component && NESTED.contains(&id) {
            walk(section)?;
        }
        at = end;
    }
    Some(())
}

/// Renames a custom section called `name` if there is a slash in it.
fn hide_if_slashed(section: &mut [u8]) {
    if let Some(names) = section.strip_prefix(b"\x04name")
        && names.contains(&b'/')
    {
        section[1] = b'-';
    }
}

/// The unsigned number at `at`, and where it ends.
fn leb(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> bool {
        let mut wasm = wat::parse_str(text).unwrap();
        let before = wasm.clone();
        hide_slashes(&mut wasm);
        wasm != before
    }

    #[test]
    fn a_slash_hides_the_names() {
        assert!(hidden("(module (func $a/b))"));
        assert!(hidden("(component (core module (func $a/b)))"));
        assert!(hidden("(component (component (core module (func $a/b))))"));
    }

    #[test]
    fn other_names_stay() {
        assert!(!hidden("(module (func $a.b))"));
        assert!(!hidden(r#"(module (func (export "a/b")))"#));
    }

    #[test]
    fn what_is_cut_off_is_left_alone() {
        let mut wasm = wat::parse_str("(module (func $a/b))").unwrap();
        wasm.truncate(wasm.len() - 1);
        let before = wasm.clone();
        hide_slashes(&mut wasm);
        assert_eq!(wasm, before);
    }
}
