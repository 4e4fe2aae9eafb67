//! What is one replica of one partition, on one broker?
