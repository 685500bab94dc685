//! Reads an input, and finds out by its content what it is.

use crate::complaint::Complaint;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

/// An input by what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// CLIF text.
    Clif(String),
    /// A WebAssembly module or component in the text format.
    Wat(String),
    /// A WebAssembly module or component.
    Wasm(Vec<u8>),
}

/// What binary WebAssembly begins with.
const MAGIC: &[u8] = b"\0asm";

/// Reads `path`, or standard input for `-`, and gives it a name for messages.
///
/// # Errors
///
/// A file that cannot be read, an empty one, one that is neither text nor
/// WebAssembly.
pub fn read(path: &Path) -> Result<(String, Content), Complaint> {
    let stdin = path.as_os_str() == "-";
    let name = match stdin {
        true => "<standard input>".to_owned(),
        false => path.display().to_string(),
    };
    if !stdin && path.is_dir() {
        let message = "this is a directory; name files in it (`memopt test` takes directories)";
        return Err(Complaint::of_file(&name, message));
    }
    let bytes = if stdin { read_stdin() } else { fs::read(path) };
    let bytes = bytes.map_err(|error| Complaint::of_file(&name, error))?;
    let content = classify(bytes).map_err(|why| Complaint::of_file(&name, why))?;
    Ok((name, content))
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn classify(bytes: Vec<u8>) -> Result<Content, &'static str> {
    if bytes.starts_with(MAGIC) {
        return Ok(Content::Wasm(bytes));
    }
    let text = String::from_utf8(bytes).map_err(|_| "neither text nor WebAssembly")?;
    if text.trim().is_empty() {
        return Err("the file is empty");
    }
    Ok(match is_wat(&text) {
        true => Content::Wat(text),
        false => Content::Clif(text),
    })
}

/// Both text formats have `;` comments; what comes after them tells.
fn is_wat(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(';'));
    first.is_some_and(|line| line.starts_with('('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        let of = |bytes: &[u8]| classify(bytes.to_vec());
        assert!(matches!(of(b"\0asm\x01\0\0\0"), Ok(Content::Wasm(_))));
        assert!(matches!(of(b";; text\n (module)"), Ok(Content::Wat(_))));
        assert!(matches!(of(b"; text\nfunction %f()"), Ok(Content::Clif(_))));
        assert!(of(b" \n").is_err());
        assert!(of(b"\xff\xfe").is_err());
    }
}
