package simulate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode"
)

// The columns of a trace, which are the names in a line of JSON too.
const (
	columnArrival  = "arrival_s"
	columnDuration = "duration_s"
	columnLabels   = "labels"
	columnRepo     = "repo"
)

const (
	// unixFrom is the least arrival_s that counts from 1970.
	unixFrom = 1e9
	// unixTo is where they end: in the year 2286.
	unixTo = 1e10
	// longest is how long a job may take.
	longest = 366 * 24 * time.Hour
	// span is how long a trace may be.
	span = 10 * longest
)

// FaultError is a fault in a trace.
type FaultError struct {
	File         string
	Line, Column int // from 1; a column counts bytes
	Message      string
}

func (f *FaultError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// row is one job as it was read, with where its parts stand.
type row struct {
	arrival, duration float64
	labels            []string
	repo              string
	line              int
	at                map[string]int // columns
}

// Read reads a trace, as CSV with a heading or as lines of JSON. The name is
// that of the file, for messages; start is when second 0 is, unless arrival_s
// are Unix times. The error is a FaultError if the text is at fault.
func Read(name string, r io.Reader, start time.Time) (Trace, error) {
	in := bufio.NewReader(r)
	first, err := firstByte(in)
	if err != nil && !errors.Is(err, io.EOF) {
		return Trace{}, fmt.Errorf("read %s: %w", name, err)
	}
	b := &builder{name: name, trace: Trace{Start: start}}
	if first == '{' {
		err = readJSON(name, in, b.add)
	} else {
		err = readCSV(name, in, b.add)
	}
	if err != nil {
		return Trace{}, err
	}
	if len(b.trace.Jobs) == 0 {
		return Trace{}, &FaultError{name, 1, 1, "the trace has no jobs"}
	}
	b.trace.sort()
	return b.trace, nil
}

// firstByte looks at the first byte that is no space.
func firstByte(in *bufio.Reader) (byte, error) {
	for n := 1; ; n++ {
		head, err := in.Peek(n)
		if len(head) < n {
			return 0, err
		}
		if c := head[n-1]; !unicode.IsSpace(rune(c)) {
			return c, nil
		}
		if n == in.Size() {
			return 0, nil
		}
	}
}

// builder makes a trace of rows.
type builder struct {
	name  string
	trace Trace
	unix  bool
	zero  float64 // arrival_s of the trace's start
}

func (b *builder) add(r row) error {
	fault := func(column, format string, args ...any) error {
		return &FaultError{b.name, r.line, max(r.at[column], 1), column + ": " + fmt.Sprintf(format, args...)}
	}
	if r.duration < 0 || r.duration > longest.Seconds() || math.IsNaN(r.duration) {
		return fault(columnDuration, "%v is not from 0 to %v seconds", r.duration, longest.Seconds())
	}
	if len(b.trace.Jobs) == 0 {
		b.begin(r.arrival)
	}
	switch unix := r.arrival >= unixFrom; {
	case r.arrival < 0 || r.arrival > unixTo || math.IsNaN(r.arrival):
		return fault(columnArrival, "%v is neither seconds from the start nor a Unix time", r.arrival)
	case unix != b.unix:
		return fault(columnArrival, "%v: some arrivals are Unix times (%.0f and more), others are not", r.arrival, unixFrom)
	case math.Abs(r.arrival-b.zero) > span.Seconds():
		return fault(columnArrival, "%v is more than ten years from the first one", r.arrival)
	}
	if r.repo != "" && (strings.Count(r.repo, "/") != 1 || strings.HasPrefix(r.repo, "/") || strings.HasSuffix(r.repo, "/")) {
		return fault(columnRepo, "%q is not OWNER/NAME", r.repo)
	}
	b.trace.Jobs = append(b.trace.Jobs, Job{
		Arrival: seconds(r.arrival - b.zero), Duration: seconds(r.duration), Labels: r.labels, Repo: r.repo,
	})
	return nil
}

// begin fixes what the arrivals count from: a trace of Unix times starts at the
// midnight before its first job.
func (b *builder) begin(arrival float64) {
	if b.unix = arrival >= unixFrom; !b.unix {
		return
	}
	zone := b.trace.Start.Location()
	y, m, d := time.Unix(int64(arrival), 0).In(zone).Date()
	b.trace.Start = time.Date(y, m, d, 0, 0, 0, 0, zone)
	b.zero = float64(b.trace.Start.Unix())
}

// seconds is rounded to microseconds, which is as exact as Unix times in a
// float are.
func seconds(s float64) time.Duration {
	return time.Duration(math.Round(s*1e6)) * time.Microsecond
}

// splitLabels reads labels that stand in one field, between blanks or
// semicolons.
func splitLabels(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == ';' || unicode.IsSpace(r) })
}
