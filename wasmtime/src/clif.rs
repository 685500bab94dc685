//! The CLIF that Wasmtime writes: every function as it is when its machine
//! code is made.

use anyhow::{Context as _, Result, anyhow};
use cranelift_codegen::CompiledCode;
use cranelift_codegen::ir::Function;
use cranelift_codegen::settings::{self, Configurable as _};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One function.
#[derive(Clone, Debug)]
pub struct Written {
    /// The text, without the line that names it.
    pub text: String,
}

impl Written {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// What the reader does not understand.
    pub fn parse(&self) -> Result<Function> {
        let mut functions = cranelift_reader::parse_functions(&self.text)?;
        functions.pop().context("no function in a CLIF file")
    }

    /// Lowers the text, for the machine at hand, and returns the instructions.
    ///
    /// # Errors
    ///
    /// What the back end cannot compile.
    pub fn assembly(&self) -> Result<String> {
        let compiled = self.lower(true)?;
        Ok(compiled.vcode.unwrap_or_default())
    }

    /// Lowers the text, and returns how many bytes the instructions take.
    ///
    /// # Errors
    ///
    /// What the back end cannot compile.
    pub fn code_size(&self) -> Result<usize> {
        Ok(self.lower(false)?.code_buffer().len())
    }

    fn lower(&self, disassemble: bool) -> Result<CompiledCode> {
        let mut flags = settings::builder();
        // The mid-end has been over it; the rest is as Wasmtime sets it.
        flags.set("opt_level", "none")?;
        flags.set("enable_probestack", "false")?;
        flags.set("preserve_frame_pointers", "true")?;
        let isa = cranelift_native::builder()
            .map_err(|why| anyhow!(why))?
            .finish(settings::Flags::new(flags))?;
        let mut context = cranelift_codegen::Context::for_function(self.parse()?);
        context.set_disasm(disassemble);
        let compiled = context.compile(&*isa, &mut Default::default());
        compiled.map_err(|error| anyhow!("{:?}", error.inner))?;
        context.take_compiled_code().context("there is no code")
    }
}

/// Everything in `directory`, by symbol.
///
/// # Errors
///
/// A file that cannot be read, or that does not name its function.
pub fn read_all(directory: &Path) -> Result<BTreeMap<String, Written>> {
    let mut functions = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let (first, rest) = text.split_once('\n').unwrap_or_default();
        let symbol = symbol(first).with_context(|| path.display().to_string())?;
        let written = Written {
            text: rest.to_owned(),
        };
        functions.insert(symbol.to_owned(), written);
    }
    Ok(functions)
}

/// The symbol that the first line names in angle brackets.
fn symbol(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once('<')?;
    Some(rest.rsplit_once('>')?.0)
}

/// The function with this symbol, whatever the name that follows it.
///
/// # Errors
///
/// There is none.
pub fn find<'a>(functions: &'a BTreeMap<String, Written>, symbol: &str) -> Result<&'a Written> {
    let mut found = functions.iter().filter(|(name, _)| {
        let rest = name.strip_prefix(symbol);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    let found = found
        .next()
        .with_context(|| format!("no CLIF of {symbol}"))?;
    Ok(found.1)
}
