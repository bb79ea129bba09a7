package plan

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// someArrivals has seen some weeks of a random load.
func someArrivals(r *rand.Rand, weeks int) (*Arrivals, time.Time) {
	a := &Arrivals{}
	at := monday
	for range 1 + r.IntN(40) {
		a.Started(time.Duration(1+r.IntN(40_000)) * time.Millisecond)
	}
	busy := 1 + r.IntN(30)
	for range weeks * weekHours * 30 {
		at = at.Add(2 * time.Minute)
		a.Look(at)
		if r.IntN(40) < busy {
			a.Add(at, 1+r.IntN(1+r.IntN(60)), p95.Wait)
		}
	}
	return a, at
}

func TestArrivalsAreStored(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		a, at := someArrivals(r, 1+r.IntN(3))
		data, err := a.MarshalBinary()
		if err != nil || len(data) >= 4096 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		b := &Arrivals{}
		if err := b.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		if again, _ := b.MarshalBinary(); !bytes.Equal(again, data) {
			t.Fatal("what was read is written otherwise")
		}
		if !b.LookedAt().Equal(a.LookedAt()) || (b.ColdStart()-a.ColdStart()).Abs() >= time.Millisecond {
			t.Errorf("looked at %v, cold start %v; were %v and %v", b.LookedAt(), b.ColdStart(), a.LookedAt(), a.ColdStart())
		}
		x, y := a.Target(at, p95, 50), b.Target(at, p95, 50)
		if lo, hi := min(x.Idle, y.Idle), max(x.Idle, y.Idle); 3*hi > 4*lo+3 {
			t.Errorf("%+v was %+v before it was stored", y, x)
		}
	}
}

func TestFullArrivalsAreSmall(t *testing.T) {
	a := &Arrivals{at: math.MaxInt64 / 4, jobs: 1e9, missed: 1e9}
	for range maxColds {
		a.Started(maxCold)
	}
	full := hour{watched: 4}
	for i := range full.ranks {
		full.ranks[i] = 1e9
	}
	for k := range a.hours {
		a.hours[k] = full
	}
	a.present = full
	if data, _ := a.MarshalBinary(); len(data) >= 4096 {
		t.Errorf("%d bytes", len(data))
	}
}

func TestBytesKeepTheirNumbers(t *testing.T) {
	for b := range 256 {
		if got := toByte(fromByte(byte(b))); got != byte(b) {
			t.Errorf("%d is read as %v and written as %d", b, fromByte(byte(b)), got)
		}
	}
	for _, x := range []float64{0.25, 1, 10, 1000, 1e5} {
		if got := fromByte(toByte(x)); math.Abs(got-x) > x/25 {
			t.Errorf("%v is kept as %v", x, got)
		}
	}
}

func TestDamagedArrivals(t *testing.T) {
	a, _ := someArrivals(rand.New(rand.NewPCG(5, 6)), 1)
	data, _ := a.MarshalBinary()
	before := *a
	faults := map[string][]byte{
		"nothing":         {},
		"another version": append([]byte{9}, data[1:]...),
		"too short":       data[:len(data)-1],
		"too long":        append(bytes.Clone(data), 0),
	}
	for name, bad := range faults {
		if err := a.UnmarshalBinary(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
		if a.at != before.at || a.present != before.present {
			t.Errorf("%s: the arrivals have changed", name)
		}
	}
}

// FuzzArrivals: whatever is read, nothing panics, and numbers stay bounded.
func FuzzArrivals(f *testing.F) {
	for seed := range uint64(3) {
		a, _ := someArrivals(rand.New(rand.NewPCG(seed, 1)), 1)
		data, _ := a.MarshalBinary()
		f.Add(data, int64(seed)*1e9)
	}
	f.Fuzz(func(t *testing.T, data []byte, later int64) {
		a := &Arrivals{}
		if a.UnmarshalBinary(data) != nil {
			return
		}
		again, _ := a.MarshalBinary()
		b := &Arrivals{}
		if err := b.UnmarshalBinary(again); err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		at := a.LookedAt().Add(time.Duration(later % int64(10*24*time.Hour)))
		for range 3 {
			a.Look(at)
			a.Add(at, 3, p95.Wait)
			if r := a.Target(at, p95, 20); r.Idle < 0 || r.Idle > 20 || r.Why == "" {
				t.Fatalf("%+v", r)
			}
			at = at.Add(time.Hour)
		}
	})
}
