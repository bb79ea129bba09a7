package simulate

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// WriteCSV writes a trace so that Read gives it back, with Unix times.
func WriteCSV(w io.Writer, t Trace) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{columnArrival, columnDuration, columnLabels, columnRepo}) // Error has it
	for _, j := range t.Jobs {
		_ = out.Write([]string{t.unix(j), number(j.Duration.Seconds()), strings.Join(j.Labels, " "), j.Repo})
	}
	out.Flush()
	return out.Error()
}

// WriteJSON likewise writes lines of JSON.
func WriteJSON(w io.Writer, t Trace) error {
	for _, j := range t.Jobs {
		line, err := json.Marshal(struct {
			Arrival  json.Number `json:"arrival_s"`
			Duration json.Number `json:"duration_s"`
			Labels   []string    `json:"labels"`
			Repo     string      `json:"repo"`
		}{json.Number(t.unix(j)), json.Number(number(j.Duration.Seconds())), append([]string{}, j.Labels...), j.Repo})
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// unix is when a job arrived, in seconds since 1970.
func (t Trace) unix(j Job) string {
	return number(float64(t.Start.Add(j.Arrival).UnixMicro()) / 1e6)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
