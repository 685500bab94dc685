//! Where the functions come from.

use cranelift_codegen::ir::Function;
use memopt_trace::generate::locals::{self, Shape};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Functions to compile.
pub enum Input {
    /// The CLIF files at or below a path.
    Files(PathBuf),
    /// Functions of about so many instructions, with locals in slots.
    Locals(usize),
}

/// Functions of each shape with locals in slots; fewer if they are large.
const FUNCTIONS: usize = 39;

/// About as many instructions as are generated in all.
const INSTRUCTIONS: usize = 200_000;

impl Input {
    /// What a word of the command line names.
    ///
    /// # Errors
    ///
    /// A size that is no number.
    pub fn parse(word: &str) -> Result<Self, Box<dyn Error>> {
        Ok(match word.strip_prefix("locals:") {
            Some(size) => Self::Locals(size.parse()?),
            None => Self::Files(word.into()),
        })
    }

    /// Calls `visit` with each `every`th function, in a fixed order.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn for_each(
        &self,
        every: usize,
        mut visit: impl FnMut(&Function),
    ) -> Result<(), Box<dyn Error>> {
        let mut number = 0;
        let mut count = |function: &Function| {
            if number % every == 0 {
                visit(function);
            }
            number += 1;
        };
        match self {
            Self::Files(path) => {
                let mut files = Vec::new();
                collect(path, &mut files)?;
                files.sort();
                for file in files {
                    for text in functions(&fs::read_to_string(&file)?) {
                        // What is no function for this machine is no concern here.
                        let parsed = cranelift_reader::parse_functions(&text);
                        parsed.into_iter().flatten().for_each(|it| count(&it));
                    }
                }
            }
            Self::Locals(size) => {
                let functions = INSTRUCTIONS / Shape::ALL.len() / size.max(&1);
                let functions = functions.clamp(1, FUNCTIONS);
                for (seed, shape) in (0..).zip(Shape::ALL) {
                    let module = locals::module(seed, shape, functions, *size);
                    module.functions.iter().for_each(&mut count);
                }
            }
        }
        Ok(())
    }
}

/// The functions of a file, as texts. Of those that come twice, "as stock Cranelift
/// leaves it" and "as the passes leave it", the second is left out.
fn functions(text: &str) -> Vec<String> {
    let mut functions = Vec::new();
    let mut is_copy = false;
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.starts_with(";; ") {
            is_copy = line.contains(", as the passes leave it");
        }
        if line.starts_with("function ") && !is_copy {
            current = Some(String::new());
        }
        if let Some(function) = &mut current {
            function.push_str(line);
            function.push('\n');
        }
        if line == "}" {
            functions.extend(current.take());
        }
    }
    functions
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if path
        .extension()
        .is_some_and(|extension| extension == "clif")
    {
        files.push(path.into());
    }
    Ok(())
}
