package trend

import (
	"math"
	"time"
)

// The buckets of a histogram grow by a quarter each, from 50 ms to some 20
// hours, so that a quantile is right to about an eighth.
const (
	buckets     = 64
	firstBucket = 50 * time.Millisecond
	growth      = 1.25
)

// histogram counts waits by how long they were.
type histogram struct {
	counts [buckets]uint32
	total  uint32
}

func (h *histogram) add(wait time.Duration) {
	i := 0
	if wait > firstBucket {
		i = min(int(math.Ceil(math.Log(float64(wait)/float64(firstBucket))/math.Log(growth))), buckets-1)
	}
	h.counts[i]++
	h.total++
}

// merge adds what another one has counted.
func (h *histogram) merge(other *histogram) {
	if other.total == 0 {
		return
	}
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile is the wait that a share q of the jobs did not exceed, 0 without
// jobs.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint32(math.Ceil(q * float64(h.total)))
	var seen uint32
	for i, n := range h.counts {
		if seen += n; seen >= rank && n > 0 {
			return bucketMiddle(i)
		}
	}
	return bucketMiddle(buckets - 1)
}

// bucketMiddle is the wait that stands for a bucket: the geometric middle of
// its bounds.
func bucketMiddle(i int) time.Duration {
	return time.Duration(float64(firstBucket) * math.Pow(growth, float64(i)-0.5))
}
