//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Beyond the limit so many are still let in, to be told so. What is about the gateway itself is
/// answered there.
pub(crate) const RESERVE: usize = 64;

/// So many of the operator may be in at once, where they have a way in of their own.
pub(crate) const OPERATORS: usize = 64;

/// The connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    /// In all.
    pub(crate) all: usize,
    /// From one address.
    pub(crate) per_address: usize,
}

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    crowded: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anything.
    Full,
    /// There are too many: it may hear so, and whether the gateway is well.
    Crowded,
}

/// A connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    address: IpAddr,
    pub(crate) standing: Standing,
}

impl Gate {
    /// A place for a connection from `address`; none where not even the reserve has one.
    /// `exempt`: its address has no limit of its own. `closed`: only the reserve is open.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        caps: Caps,
        exempt: bool,
        closed: bool,
    ) -> Option<Place> {
        let address = network_of(address);
        let counts = self.counts();
        if counts.all >= caps.all + RESERVE {
            return None;
        }
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if !exempt && of_address >= caps.per_address.saturating_add(RESERVE) {
            return None;
        }
        let crowded =
            closed || counts.all >= caps.all || (!exempt && of_address >= caps.per_address);
        if closed && counts.crowded >= RESERVE {
            return None;
        }
        let standing = if crowded { Standing::Crowded } else { Standing::Full };
        Some(self.take(counts, address, standing))
    }

    /// A full place for a connection, if there are not `most` of them already. There is no reserve
    /// here, no limit of an address, and no shortage that closes it.
    pub(crate) fn enter_fully(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Place> {
        let counts = self.counts();
        if counts.all >= most {
            return None;
        }
        Some(self.take(counts, network_of(address), Standing::Full))
    }

    fn take(
        self: &Arc<Self>,
        mut counts: MutexGuard<'_, Counts>,
        address: IpAddr,
        standing: Standing,
    ) -> Place {
        counts.all += 1;
        counts.crowded += usize::from(standing == Standing::Crowded);
        *counts.by_address.entry(address).or_default() += 1;
        Place { gate: self.clone(), address, standing }
    }

    /// How many connections there are.
    pub(crate) fn all(&self) -> usize {
        self.counts().all
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.all -= 1;
        counts.crowded -= usize::from(self.standing == Standing::Crowded);
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// Whoever has one IPv6 address has the /64 around it.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(place: &Option<Place>) -> Option<Standing> {
        place.as_ref().map(|place| place.standing)
    }

    #[test]
    fn beyond_the_limit_is_a_reserve_and_beyond_the_reserve_is_nothing() {
        let gate = Arc::new(Gate::default());
        let caps = Caps { all: 2, per_address: 9 };
        let enter = || gate.enter(IpAddr::from([1, 2, 3, 4]), caps, true, false);
        let mut places: Vec<_> = (0..2 + RESERVE).map(|_| enter()).collect();
        assert_eq!(standing(&places[1]), Some(Standing::Full));
        assert!(places[2..].iter().all(|place| standing(place) == Some(Standing::Crowded)));
        assert!(enter().is_none());
        places.truncate(1);
        assert_eq!(standing(&enter()), Some(Standing::Full));
        drop(places);
        assert_eq!((gate.all(), gate.counts().by_address.len()), (0, 0));
    }

    #[test]
    fn when_it_is_closed_only_the_reserve_is_open() {
        let gate = Arc::new(Gate::default());
        let caps = Caps { all: 1000, per_address: 1000 };
        let enter = |closed| gate.enter(IpAddr::from([1, 2, 3, 4]), caps, true, closed);
        let mut places: Vec<_> = (0..RESERVE + 9).map(|_| enter(false)).collect();
        places.extend((0..RESERVE).map(|_| enter(true)));
        assert_eq!(standing(&places[RESERVE + 9]), Some(Standing::Crowded));
        assert!(places.iter().all(Option::is_some) && enter(true).is_none());
        assert_eq!(standing(&enter(false)), Some(Standing::Full));
        places.pop();
        assert!(enter(true).is_some());
    }

    #[test]
    fn an_address_has_a_limit_of_its_own_unless_it_is_exempt() {
        let gate = Arc::new(Gate::default());
        let caps = Caps { all: 1000, per_address: 1 };
        let one = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]);
        let same_network = IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]);
        let other = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        let _held = gate.enter(one, caps, false, false);
        assert_eq!(
            standing(&gate.enter(same_network, caps, false, false)),
            Some(Standing::Crowded)
        );
        assert_eq!(standing(&gate.enter(same_network, caps, true, false)), Some(Standing::Full));
        assert_eq!(standing(&gate.enter(other, caps, false, false)), Some(Standing::Full));
    }
}
