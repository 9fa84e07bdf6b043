//! Variables and files in, the settings of every crate out; all problems reported at once.
