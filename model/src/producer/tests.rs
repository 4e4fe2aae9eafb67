//! Does a producer keep its promises, with answers fed to it by hand?
