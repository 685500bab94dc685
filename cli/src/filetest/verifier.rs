//! `test verifier`: `; error: TEXT` comments name the errors to expect.

use crate::clif;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::verify_function;
use cranelift_reader::Details;

/// Compares the verifier's errors with those that the comments announce. An
/// announced error is at the entity that its comment is attached to.
///
/// # Errors
///
/// The errors that are missing, and those that nobody expected.
pub fn check(func: &Function, details: &Details<'_>, isa: &dyn TargetIsa) -> Result<(), String> {
    let mut found = match verify_function(func, isa) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.0,
    };
    let mut wrong = Vec::new();
    for comment in &details.comments {
        let Some(message) = clif::directive(comment.text, "error:") else {
            continue;
        };
        let as_announced = |e: &cranelift_codegen::verifier::VerifierError| {
            e.location == comment.entity && e.message.contains(message)
        };
        match found.iter().position(as_announced) {
            Some(index) => drop(found.swap_remove(index)),
            None => wrong.push(format!("missing: {}: {message}", comment.entity)),
        }
    }
    wrong.extend(found.iter().map(|error| format!("not expected: {error}")));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n"))
}
