//! Runs this program once more under valgrind's callgrind, and reads its count.

use std::error::Error;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Tells the program that it is the one to be measured.
pub const CHILD: &str = "--measure";

/// How long callgrind may take for one function. What grows with the size times
/// ten takes a tenth of it on an idle machine, even after many rounds.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Is valgrind installed?
pub fn is_available() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// The instructions that this program, told [`CHILD`] and `arguments`, retires within
/// functions that have `measured` in their name; `None` if it takes longer than
/// [`PATIENCE`].
///
/// # Errors
///
/// A program that fails, with what it says.
pub fn count(arguments: &[&str]) -> Result<Option<u64>, Box<dyn Error>> {
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe()?)
        .arg(CHILD)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let Some(succeeded) = wait(&mut child)? else {
        return Ok(None);
    };
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text)?;
    }
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    let (true, Some((_, number))) = (succeeded, line) else {
        return Err(format!("callgrind failed on {arguments:?}:\n{text}").into());
    };
    Ok(Some(number.trim().parse()?))
}

/// Did the child succeed? `None` if it had to be stopped.
fn wait(child: &mut Child) -> Result<Option<bool>, Box<dyn Error>> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
