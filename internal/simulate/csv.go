package simulate

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// readCSV reads rows below a heading that names the columns, in any order.
// Other columns are no fault.
func readCSV(name string, in io.Reader, add func(row) error) error {
	r := csv.NewReader(in)
	r.ReuseRecord, r.TrimLeadingSpace = true, true
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return &FaultError{name, 1, 1, "the file is empty"}
	}
	if err != nil {
		return csvFault(name, err)
	}
	place := make(map[string]int)
	for _, column := range []string{columnArrival, columnDuration, columnLabels, columnRepo} {
		i := slices.IndexFunc(head, func(s string) bool { return strings.TrimSpace(strings.TrimPrefix(s, "\ufeff")) == column })
		if i < 0 {
			return &FaultError{name, 1, 1, fmt.Sprintf("the heading has no column %s: it has to be arrival_s,duration_s,labels,repo", column)}
		}
		place[column] = i
	}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return csvFault(name, err)
		}
		parsed, err := csvRow(name, r, fields, place)
		if err == nil {
			err = add(parsed)
		}
		if err != nil {
			return err
		}
	}
}

func csvRow(name string, r *csv.Reader, fields []string, place map[string]int) (row, error) {
	parsed := row{labels: splitLabels(fields[place[columnLabels]]), repo: strings.Clone(strings.TrimSpace(fields[place[columnRepo]])), at: make(map[string]int, 4)}
	for i, label := range parsed.labels {
		parsed.labels[i] = strings.Clone(label)
	}
	for column, i := range place {
		parsed.line, parsed.at[column] = r.FieldPos(i)
	}
	for column, value := range map[string]*float64{columnArrival: &parsed.arrival, columnDuration: &parsed.duration} {
		field := strings.TrimSpace(fields[place[column]])
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return row{}, &FaultError{name, parsed.line, parsed.at[column], fmt.Sprintf("%s: %q is not a number of seconds", column, field)}
		}
		*value = v
	}
	return parsed, nil
}

func csvFault(name string, err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return &FaultError{name, p.Line, p.Column, p.Err.Error()}
	}
	return fmt.Errorf("read %s: %w", name, err)
}
