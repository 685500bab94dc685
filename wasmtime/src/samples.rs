//! Figures that were taken several times.

use serde::Serialize;

/// The least and the middle of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The least: noise only adds.
    pub min: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = ((sorted.len() - 1) / 2, sorted.len() / 2);
        Self {
            min: sorted[0],
            median: (sorted[low] + sorted[high]) / 2.0,
        }
    }

    /// Each figure divided by that of `base`.
    pub fn over(&self, base: &Self) -> Self {
        Self {
            min: self.min / base.min,
            median: self.median / base.median,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            spread,
            Spread {
                min: 1.0,
                median: 2.5
            }
        );
        let half = Spread {
            min: 0.5,
            median: 0.5,
        };
        assert_eq!(
            spread.over(&half),
            Spread {
                min: 2.0,
                median: 5.0
            }
        );
    }
}
