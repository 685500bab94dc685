//! Says which test it was when machine code crashes.
//!
//! `test run` executes what the passes made. If that is wrong, the process
//! may end with a signal, and all that is left of the run is its number. The
//! handler here writes the name of the test before the process ends as it
//! would have ended.

/// Runs `work`; if it ends the process, `label` is written to standard error.
#[cfg(unix)]
pub fn labelled<T>(label: &str, work: impl FnOnce() -> T) -> T {
    unix::HANDLERS.call_once(unix::install);
    let message = format!("machine code crashed in {label}\n");
    let outer = unix::LABEL.replace((message.as_ptr(), message.len()));
    let outcome = work();
    unix::LABEL.set(outer);
    outcome
}

/// Runs `work`.
#[cfg(not(unix))]
pub fn labelled<T>(_label: &str, work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(unix)]
mod unix {
    use std::cell::Cell;
    use std::ptr;
    use std::sync::Once;

    /// What wrong machine code ends with; traps of CLIF are among them.
    const SIGNALS: [i32; 5] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
    ];

    pub static HANDLERS: Once = Once::new();

    thread_local! {
        /// Begin and length of the message; the faulting thread is the one
        /// that has set it. It needs neither allocation nor destructor, so
        /// that a handler may read it.
        pub static LABEL: Cell<(*const u8, usize)> = const { Cell::new((ptr::null(), 0)) };
    }

    /// Handles each signal once. Signals outside of labelled work find no
    /// message and end the process as ever.
    pub fn install() {
        for signal in SIGNALS {
            // SAFETY: an all-zero `sigaction` is a valid one, and the handler
            // does only what POSIX allows in a handler.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = report as extern "C" fn(i32) as usize;
                action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    }

    /// Writes the message. The default action is back in place, so returning
    /// to the instruction that faulted ends the process.
    extern "C" fn report(signal: i32) {
        let (begin, length) = LABEL.get();
        // SAFETY: the message lives until `labelled` takes it back, and with
        // no message the length is zero.
        unsafe {
            libc::write(libc::STDERR_FILENO, begin.cast(), length);
            // A trap instruction may not fault again.
            libc::raise(signal);
        }
    }
}
