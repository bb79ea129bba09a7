package config

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func ptr[T any](v T) *T { return &v }

func mustCron(t testing.TB, s string) Cron {
	t.Helper()
	c, err := parseCron(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustZone(t testing.TB, name string) Timezone {
	t.Helper()
	z, err := parseTimezone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestWindowStarts(t *testing.T) {
	tests := []struct {
		name, cron, zone string
		after            string   // in UTC
		want             []string // the next starts, by the zone's clock
	}{
		{"in UTC", "0 8 * * 1-5", "UTC", "2026-03-06 07:59", []string{"2026-03-06 08:00 UTC", "2026-03-09 08:00 UTC"}},
		{"not the moment itself", "0 8 * * *", "UTC", "2026-03-06 08:00", []string{"2026-03-07 08:00 UTC"}},
		{"by the clock of the zone, winter and summer", "0 8 * * *", "Europe/Berlin", "2026-03-28 00:00",
			[]string{"2026-03-28 08:00 CET", "2026-03-29 08:00 CEST", "2026-03-30 08:00 CEST"}},
		{"summer and winter", "0 8 * * *", "Europe/Berlin", "2026-10-24 00:00", []string{"2026-10-24 08:00 CEST", "2026-10-25 08:00 CET"}},
		{"the hour that is left out", "30 2 * * *", "Europe/Berlin", "2026-03-28 00:00",
			[]string{"2026-03-28 02:30 CET", "2026-03-29 03:00 CEST", "2026-03-30 02:30 CEST"}},
		{"all that falls into it begins at once", "*/20 2 * * *", "Europe/Berlin", "2026-03-28 01:30",
			[]string{"2026-03-28 02:40 CET", "2026-03-29 03:00 CEST", "2026-03-30 02:00 CEST"}},
		{"the hour that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00",
			[]string{"2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"}},
		{"minute by minute in it", "*/30 * * * *", "Europe/Berlin", "2026-10-24 23:45",
			[]string{"2026-10-25 02:00 CEST", "2026-10-25 02:30 CEST", "2026-10-25 03:00 CET"}},
		{"asked while the hour comes for the second time", "*/10 2 * * *", "Europe/Berlin", "2026-10-25 01:05",
			[]string{"2026-10-26 02:00 CET"}},
		{"New York in spring", "15 2 * * *", "America/New_York", "2026-03-07 12:00", []string{"2026-03-08 03:00 EDT", "2026-03-09 02:15 EDT"}},
		{"New York in autumn", "15 1 * * *", "America/New_York", "2026-10-31 12:00", []string{"2026-11-01 01:15 EDT", "2026-11-02 01:15 EST"}},
		{"half an hour is left out", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00", []string{"2026-10-04 02:30 +11", "2026-10-05 02:15 +11"}},
		{"half an hour comes twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00", []string{"2026-04-05 01:45 +11", "2026-04-06 01:45 +1030"}},
		{"midnight is left out", "0 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00", []string{"2018-11-04 01:00 -02", "2018-11-05 00:00 -02"}},
		{"a day is left out", "0 12 * * *", "Pacific/Apia", "2011-12-29 00:00", []string{"2011-12-29 12:00 -10", "2011-12-31 00:00 +14", "2011-12-31 12:00 +14"}},
		{"leap day", "0 6 29 2 *", "UTC", "2026-01-01 00:00", []string{"2028-02-29 06:00 UTC", "2032-02-29 06:00 UTC"}},
		{"the last day of a leap year", "0 8 31 12 *", "Europe/Berlin", "2040-12-31 06:00", []string{"2040-12-31 08:00 CET", "2041-12-31 08:00 CET"}},
		{"either of two days", "0 0 13 * 5", "UTC", "2026-03-01 00:00", []string{"2026-03-06 00:00 UTC", "2026-03-13 00:00 UTC", "2026-03-20 00:00 UTC"}},
		{"a word", "@monthly", "Asia/Kathmandu", "2026-03-01 00:00", []string{"2026-04-01 00:00 +0545"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := Window{Cron: mustCron(t, tt.cron), Timezone: mustZone(t, tt.zone)}
			at, err := time.Parse("2006-01-02 15:04", tt.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if at = w.next(at); at.Format("2006-01-02 15:04 MST") != want {
					t.Fatalf("got %s, want %s", at, want)
				}
			}
		})
	}
}

// field is one field of an expression that was made up, and what it means.
type field struct {
	text string
	set  []int
	star bool
}

func someField(r *rand.Rand, low, high int) field {
	pick := func() int { return low + r.IntN(high-low+1) }
	var f field
	switch r.IntN(4) {
	case 0:
		f.text, f.star = "*", true
		for v := low; v <= high; v++ {
			f.set = append(f.set, v)
		}
	case 1:
		step := 2 + r.IntN(20)
		f.text = "*/" + strconv.Itoa(step)
		for v := low; v <= high; v += step {
			f.set = append(f.set, v)
		}
	case 2:
		from, to := pick(), pick()
		from, to = min(from, to), max(from, to)
		f.text = fmt.Sprintf("%d-%d", from, to)
		for v := from; v <= to; v++ {
			f.set = append(f.set, v)
		}
	default:
		var words []string
		for range 1 + r.IntN(3) {
			f.set = append(f.set, pick())
			words = append(words, strconv.Itoa(f.set[len(f.set)-1]))
		}
		f.text = strings.Join(words, ",")
	}
	return f
}

func (f field) has(v int) bool { return slices.Contains(f.set, v) }

// shows reports whether a time on the wall is one of the expression's.
func shows(f []field, wall time.Time) bool {
	day, week := f[2].has(wall.Day()), f[4].has(int(wall.Weekday()))
	onDay := day && week
	if !f[2].star && !f[4].star {
		onDay = day || week
	}
	return f[0].has(wall.Minute()) && f[1].has(wall.Hour()) && f[3].has(int(wall.Month())) && onDay
}

// scanned are the starts within a stretch, found minute by minute: a time on
// the wall counts when the clock first shows it or has passed it.
func scanned(f []field, zone *time.Location, from, to time.Time) []time.Time {
	wallAt := func(t time.Time) time.Time {
		_, offset := t.In(zone).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	var starts []time.Time
	// A clock that was put back just before shows what it has shown already.
	passed := wallAt(from.Add(-48 * time.Hour))
	for t := from.Add(-48 * time.Hour); !t.After(to); t = t.Add(time.Minute) {
		begins := false
		for ; passed.Before(wallAt(t)); passed = passed.Add(time.Minute) {
			begins = begins || shows(f, passed.Add(time.Minute))
		}
		if begins && t.After(from) {
			starts = append(starts, t)
		}
	}
	return starts
}

func TestWindowStartsAgreeWithScanOfMinutes(t *testing.T) {
	zones := []struct{ name, change string }{
		{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"}, {"America/New_York", "2026-03-08"}, {"America/New_York", "2026-11-01"},
		{"Australia/Lord_Howe", "2026-04-05"}, {"Australia/Lord_Howe", "2026-10-04"}, {"America/Sao_Paulo", "2018-11-04"}, {"America/Sao_Paulo", "2018-02-18"},
		{"Pacific/Apia", "2011-12-30"}, {"Africa/Casablanca", "2026-02-15"}, {"Antarctica/Troll", "2026-10-25"}, {"Asia/Kolkata", "2028-02-29"}, {"UTC", "2028-03-01"},
	}
	found, changes := 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 8))
		z := zones[r.IntN(len(zones))]
		fields := []field{someField(r, 0, 59), someField(r, 0, 23), someField(r, 1, 31), someField(r, 1, 12), someField(r, 0, 6)}
		if r.IntN(2) == 0 { // where the changes are
			hour := r.IntN(4)
			fields[1] = field{fmt.Sprintf("%d-%d", hour, hour+1), []int{hour, hour + 1}, false}
			fields[2], fields[3], fields[4] = field{"*", upTo(31), true}, field{"*", upTo(12), true}, field{"*", upTo(6), true}
		}
		var words []string
		for _, f := range fields {
			words = append(words, f.text)
		}
		c, err := parseCron(strings.Join(words, " "))
		if err != nil {
			continue // a day that there is not
		}
		w := Window{Cron: c, Timezone: mustZone(t, z.name)}
		day, err := time.Parse("2006-01-02", z.change)
		if err != nil {
			t.Fatal(err)
		}
		from := day.Add(-time.Duration(r.IntN(36*60)) * time.Minute)
		to := from.Add(3 * 24 * time.Hour)
		want := scanned(fields, w.Timezone.location, from, to)
		var got []time.Time
		for at := w.next(from); !at.IsZero() && !at.After(to); at = w.next(at) {
			got = append(got, at)
		}
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			k := 0
			for k < min(len(got), len(want)) && got[k].Equal(want[k]) {
				k++
			}
			t.Fatalf("seed %d: %q in %s from %s: got %v, want %v, after %d that agree", seed, c, z.name, from,
				got[k:min(k+3, len(got))], want[k:min(k+3, len(want))], k)
		}
		found += len(want)
		for k := 1; k < len(want); k++ {
			_, a := want[k-1].In(w.Timezone.location).Zone()
			_, b := want[k].In(w.Timezone.location).Zone()
			if a != b {
				changes++
			}
		}
		// From anywhere, not only from a start.
		for range 20 {
			at := from.Add(time.Duration(r.Int64N(int64(2 * 24 * time.Hour))))
			k := slices.IndexFunc(want, func(s time.Time) bool { return s.After(at) })
			if k >= 0 && !w.next(at).Equal(want[k]) {
				t.Fatalf("seed %d: %q in %s after %s: got %s, want %s", seed, c, z.name, at, w.next(at), want[k])
			}
		}
	}
	if found < 5_000 || changes < 100 {
		t.Errorf("%d starts around %d changes of the clock only, so this shows little", found, changes)
	}
}

func upTo(high int) []int {
	var set []int
	for v := range high + 1 {
		set = append(set, v)
	}
	return set
}

func TestWindowsOfPool(t *testing.T) {
	badEnv(t)
	c := mustParse(t, minimal+`    min: 1
    idle_timeout: 5m
    schedule:
      - {cron: "0 8 * * 1-5", duration: 10h30m, timezone: Europe/Berlin, idle: 2, max: 20, idle_timeout: 1h}
      - {cron: "0 2 * * 0", duration: 4h, min: 0, max: 0}
`)
	p := c.Pools[0]
	if n := p.MostRunners(); n != 20 {
		t.Errorf("at most %d runners, want 20", n)
	}
	own := plan.Pool{Min: p.Min, Idle: p.Idle.Count, Max: p.Max, IdleTimeout: p.IdleTimeout, Windows: p.Windows()}
	tests := []struct {
		at             string
		window, next   string
		min, idle, max int
		timeout        time.Duration
	}{
		{"2026-03-06 08:00 CET", "`0 8 * * 1-5` Europe/Berlin for 10h30m", "2026-03-06 18:30 CET", 1, 2, 20, time.Hour},
		{"2026-03-06 18:30 CET", "", "2026-03-08 02:00 UTC", 1, 0, 10, 5 * time.Minute},
		{"2026-03-08 02:00 UTC", "`0 2 * * 0` for 4h", "2026-03-08 06:00 UTC", 0, 0, 0, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.at, func(t *testing.T) {
			at, err := time.ParseInLocation("2006-01-02 15:04 MST", tt.at, mustZone(t, "Europe/Berlin").location)
			if err != nil {
				t.Fatal(err)
			}
			got, s := own.At(at)
			if got.Min != tt.min || got.Idle != tt.idle || got.Max != tt.max || got.IdleTimeout != tt.timeout {
				t.Errorf("min %d, idle %d, max %d, idle_timeout %s", got.Min, got.Idle, got.Max, got.IdleTimeout)
			}
			if s.Window != tt.window || s.Next.Format("2006-01-02 15:04 MST") != tt.next {
				t.Errorf("window %q until %s, want %q until %s", s.Window, s.Next, tt.window, tt.next)
			}
		})
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m", 70 * time.Minute: "1h10m",
		100 * time.Hour: "100h", 90 * time.Second: "1m30s", time.Hour + 10*time.Second: "1h0m10s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%s is written %s, want %s", d, got, want)
		}
	}
}

func BenchmarkWindowAt(b *testing.B) {
	w := func(cron string, d time.Duration) Window {
		return Window{Cron: mustCron(b, cron), Duration: d, Timezone: mustZone(b, "Europe/Berlin"), Max: ptr(1)}
	}
	for _, bm := range []struct {
		name    string
		windows []Window
		step    time.Duration
	}{
		{"each cycle", []Window{w("0 8 * * 1-5", 10*time.Hour), w("0 2 * * 0", 4*time.Hour)}, 250 * time.Millisecond},
		{"anew", []Window{w("0 8 * * 1-5", 10*time.Hour), w("0 2 * * 0", 4*time.Hour)}, 24 * time.Hour},
		{"anew, always", []Window{w("@hourly", time.Hour)}, 24 * time.Hour},
		{"anew, minute by minute", []Window{w("* * * * *", time.Minute)}, 24 * time.Hour},
		{"anew, minute by minute for a week", []Window{w("* * * * *", 7*24*time.Hour)}, 24 * time.Hour},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := plan.Pool{Windows: Pool{Schedule: bm.windows}.Windows()}
			at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			for b.Loop() {
				p.At(at)
				at = at.Add(bm.step)
			}
		})
	}
}

func TestAutoIdle(t *testing.T) {
	badEnv(t)
	auto := func(percentile int, wait time.Duration, most int) *plan.Auto {
		return &plan.Auto{Percentile: percentile, Wait: wait, Most: most}
	}
	tests := []struct {
		name, keys string
		own        *plan.Auto // outside of windows
		inside     *plan.Auto // in the window
		idle       int        // in the window
	}{
		{"a number", "    idle: 2\n    schedule: [{cron: '@daily', duration: 12h, idle: 3}]\n", nil, nil, 3},
		{"the defaults", "    idle: auto\n    schedule: [{cron: '@daily', duration: 12h, min: 1}]\n", auto(95, 2*time.Second, 10), auto(95, 2*time.Second, 10), 0},
		{"all of it", "    idle: auto\n    target_wait: {p50: 1m}\n    idle_max: 4\n    schedule: [{cron: '@daily', duration: 12h, idle: 0}]\n", auto(50, time.Minute, 4), nil, 0},
		{"a window only", "    idle: 1\n    target_wait: {p99: 5s}\n    schedule: [{cron: '@daily', duration: 12h, idle: auto, max: 20}]\n", nil, auto(99, 5*time.Second, 20), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := mustParse(t, minimal+test.keys).Pools[0]
			var own *plan.Auto
			if p.Idle.Auto {
				own = p.Auto()
			}
			if !reflect.DeepEqual(own, test.own) {
				t.Errorf("outside: %v, want %v", own, test.own)
			}
			in, _ := plan.Pool{Idle: p.Idle.Count, Auto: own, Max: p.Max, Windows: p.Windows()}.At(time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC))
			if !reflect.DeepEqual(in.Auto, test.inside) || in.Idle != test.idle {
				t.Errorf("inside: %v and idle %d, want %v and %d", in.Auto, in.Idle, test.inside, test.idle)
			}
			if p.IsAuto() != (test.own != nil || test.inside != nil) {
				t.Errorf("IsAuto is %v", p.IsAuto())
			}
		})
	}
}
