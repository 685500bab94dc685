//! Which versions of Cranelift an expectation is for.
//!
//! Bounds are words, all of which have to hold: `<0.137` is for what comes before
//! 0.137.0, and `>=0.136` for that and what comes after it. Upstream's test runner gets a
//! copy of this file, and so it uses nothing of the program.

/// Do `bounds` hold for `version`, a version as Cargo writes it?
///
/// # Errors
///
/// The first word that is no bound; a version that is not understood.
pub fn hold(bounds: &str, version: &str) -> Result<bool, String> {
    let here = release(version).ok_or_else(|| format!("`{version}` is not a version"))?;
    let mut words = bounds.split([' ', ',']).filter(|word| !word.is_empty());
    let first = words.next().ok_or("no bounds: `<0.137`, or `>=0.137`")?;
    let mut all = true;
    for word in [first].into_iter().chain(words) {
        let below = word.strip_prefix('<');
        let (is_upper, number) = match (below, word.strip_prefix(">=")) {
            (Some(number), _) => (true, number),
            (None, Some(number)) => (false, number),
            (None, None) => return Err(format!("`{word}` is not `<0.N` or `>=0.N`")),
        };
        let bound = release(number).filter(|_| number.split('.').count() == 2);
        let bound = bound.ok_or_else(|| format!("`{number}` is not the number of a release"))?;
        all &= (here < bound) == is_upper;
    }
    Ok(all)
}

/// The first two numbers of a version.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::hold;

    #[test]
    fn a_bound_is_a_release() {
        assert_eq!(hold("<0.137", "0.135.8"), Ok(true));
        assert_eq!(hold("<0.137", "0.137.0"), Ok(false));
        assert_eq!(hold(">=0.137", "0.137.0"), Ok(true));
        assert_eq!(hold(">=0.99", "0.137.1"), Ok(true));
        assert_eq!(hold("<0.137", "1.0.0"), Ok(false));
    }

    #[test]
    fn all_bounds_have_to_hold() {
        assert_eq!(hold(">=0.136 <0.137", "0.136.5"), Ok(true));
        assert_eq!(hold(">=0.136, <0.137", "0.137.1"), Ok(false));
        assert_eq!(hold(">=0.136 <0.137", "0.135.8"), Ok(false));
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for bounds in [
            "", " ", "0.137", "<0.137.1", "=0.137", "<137", ">=", "< 0.137",
        ] {
            assert!(hold(bounds, "0.135.8").is_err(), "{bounds}");
        }
        assert!(hold("<0.137", "next").is_err());
    }
}
