//! Turns a panic into an error, so that one input cannot end the whole run.
//!
//! `cranelift-reader` and `cranelift-interpreter` panic on some malformed
//! functions, and a pass that breaks an invariant panics further down in the
//! back end. All of these are findings about one file. The others still run.

use anyhow::{Result, anyhow};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

thread_local! {
    /// What the panic on this thread said, while [`catch`] is watching.
    static CAUGHT: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// A panic's message and place, once there was one.
#[derive(Default)]
struct Watch(Option<String>);

/// What a panic on a worker thread said. Libraries such as Rayon pass the
/// panic on to the thread that waits, but not its message.
static ELSEWHERE: Mutex<Option<String>> = Mutex::new(None);

/// How many threads are watching.
static WATCHING: AtomicUsize = AtomicUsize::new(0);

static HOOK: Once = Once::new();

/// Runs `work`; a panic in it becomes an error with the panic's message.
///
/// # Errors
///
/// What `work` reports, or that it panicked.
pub fn catch<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    HOOK.call_once(install_hook);
    let outer = CAUGHT.replace(Some(Watch::default()));
    WATCHING.fetch_add(1, Ordering::Relaxed);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    WATCHING.fetch_sub(1, Ordering::Relaxed);
    let watch = CAUGHT.replace(outer);
    outcome.unwrap_or_else(|_| {
        let said = watch.and_then(|watch| watch.0).or_else(said_elsewhere);
        Err(anyhow!(
            "internal error: {}",
            said.unwrap_or_else(|| "a panic".to_owned())
        ))
    })
}

/// Keeps the message of a watched panic instead of printing it; all other
/// panics print as ever.
fn install_hook() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let watched = CAUGHT.with_borrow_mut(|watch| match watch {
            Some(watch) => {
                watch.0 = Some(told(info));
                true
            }
            None => false,
        });
        if !watched && !keep_if_worker(info) {
            default(info);
        }
    }));
}

/// Keeps the message of a worker thread, if anyone is there to report it.
/// Workers have no name; the threads of a test harness do.
fn keep_if_worker(info: &panic::PanicHookInfo<'_>) -> bool {
    let worker = std::thread::current().name().is_none();
    let keep = worker && WATCHING.load(Ordering::Relaxed) > 0;
    if keep && let Ok(mut elsewhere) = ELSEWHERE.lock() {
        *elsewhere = Some(told(info));
    }
    keep
}

/// The message of a panic, and its place without the path of somebody's machine.
fn told(info: &panic::PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a panic");
    let Some(location) = info.location() else {
        return message.to_owned();
    };
    let file = location.file();
    // The folder of a crate is the one around `src`.
    let start = file.rfind("/src/").and_then(|at| file[..at].rfind('/'));
    let file = start.map_or(file, |start| &file[start + 1..]);
    format!("{message} ({file}:{})", location.line())
}

fn said_elsewhere() -> Option<String> {
    ELSEWHERE.lock().ok()?.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let caught: Result<()> = catch(|| panic!("seven is not prime"));
        let message = caught.unwrap_err().to_string();
        let start = "internal error: seven is not prime (cli/src/guard.rs:";
        assert!(message.starts_with(start), "{message}");
    }

    #[test]
    fn a_result_passes_through() {
        assert_eq!(catch(|| Ok(7)).unwrap(), 7);
    }
}
