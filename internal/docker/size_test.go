package docker

import (
	"net/http"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestSize(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   plan.Resources
		fault  string
	}{
		"both":    {`{"NCPU":8,"MemTotal":16777216000}`, plan.Resources{MilliCPU: 8000, Memory: 16777216000}, ""},
		"neither": {`{}`, plan.Resources{}, "ask docker for the size of its host: the engine does not say it"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := socketPath(t)
			fakeEngine(t, socket, map[string]http.HandlerFunc{"GET /info": func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(tt.answer))
			}})
			e, err := New(Config{Host: "unix://" + socket, Instance: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			got, err := e.Size(t.Context())
			if got != tt.want || tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
				t.Errorf("Size() = %+v, %v; want %+v, %q", got, err, tt.want, tt.fault)
			}
		})
	}
}
