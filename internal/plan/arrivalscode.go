package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// arrivalsVersion is the first byte of stored Arrivals.
const arrivalsVersion = 1

// errArrivals is for stored Arrivals that cannot be read.
var errArrivals = errors.New("stored arrivals are damaged")

// MarshalBinary returns the Arrivals in less than 4 KiB, for UnmarshalBinary.
// Numbers are rounded to one part in thirty. What arrived in the last moments,
// within the time of a start, is left out. The error is always nil.
func (a *Arrivals) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 4096)
	b = append(b, arrivalsVersion)
	b = binary.AppendVarint(b, a.at)
	b = append(b, byte(len(a.colds)))
	for _, d := range a.colds {
		b = binary.AppendUvarint(b, uint64(d.Milliseconds()))
	}
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(float32(a.jobs)))
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(float32(a.missed)))
	for _, m := range a.minutes {
		b = append(b, toByte(m.watched), toByte(m.jobs))
	}
	b = a.present.append(b)
	for k := range a.hours {
		b = a.hours[k].append(b)
	}
	return b, nil
}

// append writes an hour: how long it was watched, how many classes follow, and
// their jobs.
func (h *hour) append(b []byte) []byte {
	n := rankClasses
	for n > 0 && toByte(h.ranks[n-1]) == 0 {
		n--
	}
	b = append(b, toByte(h.watched), byte(n))
	for _, jobs := range h.ranks[:n] {
		b = append(b, toByte(jobs))
	}
	return b
}

// Numbers are stored as a byte on a scale that doubles every byteSteps.
const (
	byteSteps = 10
	byteUnit  = 1.0 / 32
)

func toByte(x float64) byte {
	return byte(min(max(math.Round(byteSteps*math.Log2(1+x/byteUnit)), 0), 255))
}

func fromByte(b byte) float64 { return byteUnit * (math.Exp2(float64(b)/byteSteps) - 1) }

// UnmarshalBinary reads what MarshalBinary wrote. On an error the Arrivals stay
// as they were.
func (a *Arrivals) UnmarshalBinary(data []byte) error {
	r := reader{data: data}
	if v := r.byte(); !r.short && v != arrivalsVersion {
		return fmt.Errorf("%w: they have the unknown version %d", errArrivals, v)
	}
	var b Arrivals
	b.at = r.varint()
	for range r.byte() {
		b.colds = append(b.colds, time.Duration(r.uvarint())*time.Millisecond)
	}
	b.jobs, b.missed = r.float(), r.float()
	for i := range b.minutes {
		b.minutes[i] = minute{watched: fromByte(r.byte()), jobs: fromByte(r.byte())}
	}
	r.hour(&b.present)
	for k := range b.hours {
		r.hour(&b.hours[k])
	}
	if r.short || len(r.data) > 0 {
		return fmt.Errorf("%w: they have the wrong length", errArrivals)
	}
	if err := b.check(); err != nil {
		return fmt.Errorf("%w: %w", errArrivals, err)
	}
	b.sortColds()
	*a, a.resumed = b, true
	return nil
}

// check refuses what MarshalBinary never writes and calculations would choke on.
func (a *Arrivals) check() error {
	if a.at < 0 || a.at > math.MaxInt64/4 {
		return errors.New("the last look is out of range")
	}
	if len(a.colds) > maxColds {
		return errors.New("there are too many starts")
	}
	for _, d := range a.colds {
		if d < 0 || d > maxCold {
			return errors.New("the length of a start is out of range")
		}
	}
	const most = 1 << 40
	if !(a.jobs >= 0 && a.jobs < most && a.missed >= 0 && a.missed <= a.jobs) {
		return errors.New("the counts are out of range")
	}
	return nil
}

// reader takes numbers from the front of some bytes. What is not there is 0.
type reader struct {
	data  []byte
	short bool // something was not there
}

func (r *reader) take(n int) []byte {
	if n <= 0 || n > len(r.data) {
		r.short, r.data = true, nil
		return make([]byte, 8)
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) float() float64 {
	return float64(math.Float32frombits(binary.BigEndian.Uint32(r.take(4))))
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	r.take(n)
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	r.take(n)
	return v
}

func (r *reader) hour(h *hour) {
	h.watched = fromByte(r.byte())
	n := r.byte()
	if n > rankClasses {
		r.short, n = true, 0
	}
	for i := range n {
		h.ranks[i] = fromByte(r.byte())
	}
}
