//! A limit, a bounded queue, a permit.
