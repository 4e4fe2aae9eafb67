//! Which maps are small, or grow at their end, and what do they look like then?
//!
//! Sorted vectors that answer as `BTreeMap` and `BTreeSet` do. Nearly every map that a step touches has a
//! handful of entries (connections, leaders, what waits), or is added to at its end and taken from at its
//! front (what waits by time). A tree takes and gives back memory for each of those that goes from empty to
//! one and back, and walks where a few comparisons would do: insertions and removals were a thirtieth of all
//! instructions of the reference scenario. In exchange an entry in the middle of `n` moves those behind it,
//! so that what holds a cluster's partitions stays a tree.

use alloc::vec::{self, Vec};
use core::{
    borrow::Borrow,
    slice::{Iter, IterMut},
};

/// A map in the order of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlatMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for FlatMap<K, V> {
    fn default() -> Self {
        FlatMap::new()
    }
}

impl<K, V> FlatMap<K, V> {
    /// An empty one, which takes no memory.
    pub const fn new() -> FlatMap<K, V> {
        FlatMap(Vec::new())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The entries, in order.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their keys.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// The values, in the order of their keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> + ExactSizeIterator {
        self.0.into_iter().map(|(_, value)| value)
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.0.first().map(|(key, value)| (key, value))
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.0.last().map(|(key, value)| (key, value))
    }

    /// Takes out the entry with the least key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Keeps only entries that `keep` holds of.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> FlatMap<K, V> {
    #[inline]
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// The value of a key.
    #[inline]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(&self.0[at].1)
    }

    /// The value of a key.
    #[inline]
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(&mut self.0[at].1)
    }

    /// Whether it has a key.
    #[inline]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// The value of a key, which is put in first if it is not there.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, value()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Puts an entry in; gives back the value that the key had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        // Times, ids and offsets count up.
        if self.0.last().is_none_or(|(last, _)| *last < key) {
            self.0.push((key, value));
            return None;
        }
        match self.find(&key) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes an entry out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for FlatMap<K, V> {
    /// Of two entries with one key the later counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = FlatMap::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K, V> IntoIterator for FlatMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a FlatMap<K, V> {
    type Item = &'a (K, V);
    type IntoIter = Iter<'a, (K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut FlatMap<K, V> {
    type Item = &'a mut (K, V);
    type IntoIter = IterMut<'a, (K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

/// A set in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlatSet<T>(Vec<T>);

impl<T> Default for FlatSet<T> {
    fn default() -> Self {
        FlatSet::new()
    }
}

impl<T> FlatSet<T> {
    /// An empty one, which takes no memory.
    pub const fn new() -> FlatSet<T> {
        FlatSet(Vec::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.0.iter()
    }

    /// All of them, in order.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The least.
    pub fn first(&self) -> Option<&T> {
        self.0.first()
    }

    /// Takes out the least.
    pub fn pop_first(&mut self) -> Option<T> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Takes all out, in order.
    pub fn drain(&mut self) -> vec::Drain<'_, T> {
        self.0.drain(..)
    }
}

impl<T: Ord> FlatSet<T> {
    /// Whether `it` is in it.
    #[inline]
    pub fn contains(&self, it: &T) -> bool {
        self.0.binary_search(it).is_ok()
    }

    /// Puts `it` in; says whether it was not there.
    pub fn insert(&mut self, it: T) -> bool {
        if self.0.last().is_none_or(|last| *last < it) {
            self.0.push(it);
            return true;
        }
        match self.0.binary_search(&it) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, it);
                true
            }
        }
    }

    /// Takes `it` out; says whether it was there.
    pub fn remove(&mut self, it: &T) -> bool {
        let found = self.0.binary_search(it);
        if let Ok(at) = found {
            self.0.remove(at);
        }
        found.is_ok()
    }
}

impl<T: Ord> Extend<T> for FlatSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, them: I) {
        for it in them {
            self.insert(it);
        }
    }
}

impl<T: Ord> FromIterator<T> for FlatSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(them: I) -> Self {
        let mut set = FlatSet::new();
        set.extend(them);
        set
    }
}

impl<T> IntoIterator for FlatSet<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a FlatSet<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn they_answer_as_trees_do() {
        let mut rng = Rng::named(5, "flat");
        let (mut map, mut tree) = (FlatMap::new(), BTreeMap::new());
        let (mut set, mut other) = (FlatSet::new(), BTreeSet::new());
        for value in 0..5_000 {
            let key = rng.below(40);
            match rng.below(6) {
                0 | 1 => {
                    assert_eq!(map.insert(key, value), tree.insert(key, value));
                    assert_eq!(set.insert(key), other.insert(key));
                }
                2 => assert_eq!(map.get_or_insert_with(key, || value), tree.entry(key).or_insert(value)),
                3 | 4 => {
                    assert_eq!(map.remove(&key), tree.remove(&key));
                    assert_eq!(set.remove(&key), other.remove(&key));
                }
                _ => {
                    assert_eq!(map.pop_first(), tree.pop_first());
                    assert_eq!(set.pop_first(), other.pop_first());
                }
            }
            assert_eq!((map.get(&key), map.len()), (tree.get(&key), tree.len()));
            assert_eq!(set.contains(&key), other.contains(&key));
            assert!(map.iter().eq(&tree) && set.iter().eq(&other));
        }
    }
}
