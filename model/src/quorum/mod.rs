//! How do the controllers agree on one log? (KIP-595)
