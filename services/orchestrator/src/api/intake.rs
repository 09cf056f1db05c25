//! How many starts may wait for their commit. What the store does not take in time is refused, so
//! that what was accepted goes on, nobody waits without end, and memory has a bound.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// What a start needs besides its input.
const START_BYTES: usize = 4 * 1024;
/// What is counted.
const UNIT_BYTES: usize = 1024;

/// The room for starts; cheap to clone, all clones are one.
#[derive(Clone)]
pub(crate) struct Intake {
    room: Arc<Semaphore>,
    units_max: u32,
}

impl Intake {
    /// Room for so many bytes of starts.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        let units_max = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self { room: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// A place for a start with so many bytes of input, until its commit. The largest start fits
    /// where no other waits.
    ///
    /// # Errors
    /// [`Error::Overloaded`]: there is no room now.
    pub(crate) fn admit(&self, input_bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let units = (START_BYTES + input_bytes).div_ceil(UNIT_BYTES);
        let units = u32::try_from(units).unwrap_or(u32::MAX).min(self.units_max);
        Arc::clone(&self.room)
            .try_acquire_many_owned(units)
            .map_err(|_| Error::Overloaded("more starts wait for their commit than may"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_bytes_and_it_comes_back() {
        let intake = Intake::new(20 * 1024);
        let first = intake.admit(0).unwrap();
        let second = intake.admit(12 * 1024 - 1).unwrap();
        assert!(matches!(intake.admit(0), Err(Error::Overloaded(_))));
        drop(first);
        let again = intake.admit(0).unwrap();
        drop((second, again));
        // Larger than everything, but alone.
        let large = intake.admit(1024 * 1024).unwrap();
        assert!(intake.admit(0).is_err());
        drop(large);
        assert!(intake.admit(0).is_ok());
    }
}
