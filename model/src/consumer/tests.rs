//! Does a consumer keep its promises, with answers fed to it by hand?
