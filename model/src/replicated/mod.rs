//! What is state that is a fold over a log?
