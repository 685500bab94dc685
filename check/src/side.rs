//! The two runs that are compared.

/// One of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The function before the optimizer.
    Original,
    /// The function after it.
    Result,
}

impl Side {
    /// Both, the original first.
    pub const BOTH: [Self; 2] = [Self::Original, Self::Result];

    /// The one that it is not.
    pub fn other(self) -> Self {
        match self {
            Self::Original => Self::Result,
            Self::Result => Self::Original,
        }
    }

    /// The bit that stands for it in `Fact::sides`.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
}
