package simulate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// mostLine is how long a line of JSON may be.
const mostLine = 1 << 20

// labelList is an array of strings, or one string as in CSV.
type labelList []string

func (l *labelList) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		var field string
		err := json.Unmarshal(text, &field)
		*l = splitLabels(field)
		return err
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// jsonRow is a job on a line of its own.
type jsonRow struct {
	Arrival  *float64   `json:"arrival_s"`
	Duration *float64   `json:"duration_s"`
	Labels   *labelList `json:"labels"`
	Repo     *string    `json:"repo"`
}

// readJSON reads an object a line. Other names in it are no fault.
func readJSON(name string, in io.Reader, add func(row) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, mostLine)
	for n := 1; lines.Scan(); n++ {
		text := lines.Bytes()
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		parsed, err := parseJSON(name, n, text)
		if err == nil {
			err = add(parsed)
		}
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func parseJSON(name string, line int, text []byte) (row, error) {
	var j jsonRow
	if err := json.Unmarshal(text, &j); err != nil {
		return row{}, &FaultError{name, line, jsonColumn(text, err), jsonMessage(err)}
	}
	for _, field := range []struct {
		name  string
		given bool
	}{{columnArrival, j.Arrival != nil}, {columnDuration, j.Duration != nil}, {columnLabels, j.Labels != nil}, {columnRepo, j.Repo != nil}} {
		if !field.given {
			return row{}, &FaultError{name, line, 1, field.name + " is missing"}
		}
	}
	at := make(map[string]int)
	for _, column := range []string{columnArrival, columnDuration, columnRepo} {
		at[column] = columnOf(text, column)
	}
	return row{arrival: *j.Arrival, duration: *j.Duration, labels: *j.Labels, repo: *j.Repo, line: line, at: at}, nil
}

// columnOf is where a name stands in a line.
func columnOf(text []byte, name string) int {
	return 1 + max(bytes.Index(text, []byte(`"`+name+`"`)), 0)
}

// jsonColumn is where the decoder has found a fault.
func jsonColumn(text []byte, err error) int {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return max(int(e.Offset), 1)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return columnOf(text, e.Field)
	}
	return 1
}

func jsonMessage(err error) string {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err.Error()
	}
	want := map[string]string{columnArrival: "a number of seconds", columnDuration: "a number of seconds", columnRepo: "a text", columnLabels: "a list of texts"}[e.Field]
	if want == "" {
		return fmt.Sprintf("expected a JSON object, found %s", e.Value)
	}
	return fmt.Sprintf("%s: expected %s, found %s", e.Field, want, e.Value)
}
