package plan

import "math/bits"

// poolSet is a set of pools, one bit for the index of each.
type poolSet []uint64

func (s poolSet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s poolSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// addAll adds the pools of another set, which may be nil.
func (s poolSet) addAll(other poolSet) {
	for w := range other {
		s[w] |= other[w]
	}
}

// keep takes the pools out that the other set does not have.
func (s poolSet) keep(other poolSet) {
	for w := range s {
		s[w] &= other[w]
	}
}

func (s poolSet) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// meets reports whether a pool is in both sets.
func (s poolSet) meets(other poolSet) bool {
	for w := range s {
		if s[w]&other[w] != 0 {
			return true
		}
	}
	return false
}

// size is how many pools the set has.
func (s poolSet) size() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// all yields the pools in order.
func (s poolSet) all(yield func(pool int) bool) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(w*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// hash mixes the words of a set. The factors are odd and else arbitrary.
func (s poolSet) hash() uint64 {
	h, factor := uint64(0), uint64(0x9e3779b97f4a7c15)
	for _, w := range s {
		h += w * factor
		factor *= 0xd1342543de82ef95
	}
	return h ^ h>>32
}
